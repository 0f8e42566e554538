import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const SRC = join(import.meta.dirname, '..')
const LINES_MAX = 250
/** Imports run down this list, never up. */
const LAYERS = ['ui', 'tools', 'render', 'data', 'api']

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && /\.(tsx?|css)$/.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
}

const layerOf = (path: string): number => LAYERS.indexOf(relative(SRC, path).split('/', 1)[0] ?? '')

describe('the house', () => {
  it.each(files(SRC).map(path => [relative(SRC, path), path]))('%s is short', (_, path) => {
    expect(readFileSync(path, 'utf8').split('\n').length).toBeLessThanOrEqual(LINES_MAX)
  })

  it('imports run down the layers', () => {
    const climbing: string[] = []
    for (const path of files(SRC).filter(one => layerOf(one) >= 0 && /\.tsx?$/.test(one))) {
      for (const [, target] of readFileSync(path, 'utf8').matchAll(/from '(\.[^']+)'/g)) {
        const layer = layerOf(join(path, '..', target ?? ''))
        if (layer >= 0 && layer < layerOf(path)) climbing.push(`${relative(SRC, path)} → ${target}`)
      }
    }
    expect(climbing).toEqual([])
  })

  it('only the page knows React, and only it speaks', () => {
    const lower = files(SRC).filter(path => layerOf(path) > 0 && !path.endsWith('.test.ts'))
    const guilty = lower.filter(path =>
      /from '(react-dom|react-i18next|i18next)/.test(readFileSync(path, 'utf8')),
    )
    expect(guilty).toEqual([])
  })
})
