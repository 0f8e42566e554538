// Makes dist/ of the published @ohif/app: what a reader of studies needs of it, changed so that it runs under /ohif/
// and signs in as our own page does. Usage: node build.mjs. npm fetches the package, and nothing of it is executed.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { changed, kept, place } from './changes.mjs'

const VERSION = '3.13.2'
const INTEGRITY =
  'sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=='
const COMPRESSED = /\.(js|css|wasm|svg)$/
const GZIP_LEVEL = 6 // 9 takes twice the time for 1 % less

const here = import.meta.dirname
const dist = join(here, 'dist')
const own = name => readFileSync(join(here, name), 'utf8')

/** The package as published, unpacked; refused if it is not the one that these changes were made for. */
function unpacked(folder) {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, `@ohif/app@${VERSION}`])
  const archive = join(folder, `ohif-app-${VERSION}.tgz`)
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
  if (found !== INTEGRITY) throw new Error(`not the pinned @ohif/app: ${found}`)
  execFileSync('tar', ['-xzf', archive, '-C', folder, '--exclude=*.map', '--exclude=*/ort'])
  return join(folder, 'package')
}

function write(folder, name, content) {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
  if (COMPRESSED.test(name)) writeFileSync(`${path}.gz`, gzipSync(content, { level: GZIP_LEVEL }))
}

/** Files under a name that changes with their content, which browsers keep for ever; and the page that names them. */
function build(published, into) {
  const sources = ['build.mjs', 'changes.mjs', 'index.html', 'config.js'].map(own)
  const digest = createHash('sha256').update(sources.join('\0')).digest('hex').slice(0, 12)
  const base = `/ohif/assets/${digest}/`
  const assets = join(into, 'assets', digest)
  const names = readdirSync(join(published, 'dist'), { recursive: true }).filter(kept)
  const pass = changed(base)
  for (const name of names) {
    write(assets, place(name), pass.file(name, readFileSync(join(published, 'dist', name))))
  }
  pass.finish()
  write(assets, 'config.js', own('config.js'))
  const app = names.find(name => /^app\.bundle\..*\.js$/.test(name))
  write(into, 'index.html', own('index.html').replaceAll('{base}', base).replaceAll('{app}', app))
  write(into, 'LICENSE', readFileSync(join(published, 'LICENSE')))
}

const scratch = mkdtempSync(join(tmpdir(), 'ohif-'))
try {
  const fresh = `${dist}.new`
  rmSync(fresh, { recursive: true, force: true })
  build(unpacked(scratch), fresh)
  rmSync(dist, { recursive: true, force: true })
  renameSync(fresh, dist)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
