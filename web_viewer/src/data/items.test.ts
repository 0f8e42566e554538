import { describe, expect, it } from 'vitest'
import type { Instance, Manifest } from '../api/types'
import { itemsOf, itemToOpen } from './items'

const instance = (sop_uid: string, frames = 1, rows: number | null = 10): Instance => ({
  sop_uid,
  sop_class: '',
  number: 1,
  frames,
  rows,
  columns: rows,
  transfer_syntax: '',
})

function manifest(...series: { viewable?: boolean; modality?: string; instances: Instance[] }[]): Manifest {
  return {
    study_uid: '1',
    series: series.map((one, index) => ({
      series_uid: `1.${index}`,
      thumbnail: '/t',
      viewable: true,
      ...one,
    })),
  } as unknown as Manifest
}

describe('itemsOf', () => {
  it('gives each loop an entry of its own, after the single images', () => {
    const items = itemsOf(
      manifest({ instances: [instance('a'), instance('b', 5), instance('c'), instance('d', 2)] }),
    )
    expect(items.map(item => [item.kind, item.frames.length, item.part])).toEqual([
      ['stack', 2, 1],
      ['loop', 5, 2],
      ['loop', 2, 3],
    ])
    expect(new Set(items.map(item => item.key)).size).toBe(3)
  })

  it('numbers frames from one', () => {
    const [loop] = itemsOf(manifest({ instances: [instance('a', 3)] }))
    expect(loop?.frames.map(ref => ref.frame)).toEqual([1, 2, 3])
    expect(loop?.part).toBeNull()
  })

  it('keeps what has no picture as a document, and opens with a picture', () => {
    const items = itemsOf(
      manifest({ viewable: false, instances: [instance('r', 1, null)] }, { instances: [instance('a')] }),
    )
    expect(items.map(item => item.kind)).toEqual(['document', 'stack'])
    expect(itemToOpen(items, null)?.kind).toBe('stack')
    expect(itemToOpen(items, items[0]?.key ?? '')).toBe(items[0])
    expect(itemToOpen(items, 'gone')?.kind).toBe('stack')
  })

  it('opens with slices rather than with their localizer', () => {
    const slices = (name: string, count: number) =>
      Array.from({ length: count }, (_, n) => instance(`${name}${n}`))
    const opened = (modality: string, ...counts: number[]) => {
      const series = counts.map((count, n) => ({ modality, instances: slices(`${n}.`, count) }))
      const items = itemsOf(manifest(...series))
      const item = itemToOpen(items, null)
      return item && items.indexOf(item)
    }
    expect(opened('CT', 2, 58, 40)).toBe(1)
    expect(opened('MR', 3, 3, 20)).toBe(2)
    expect(opened('CT', 2, 1)).toBe(0)
    expect(opened('CR', 1, 58)).toBe(0)
  })
})
