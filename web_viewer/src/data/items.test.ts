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

function manifest(...series: { viewable?: boolean; instances: Instance[] }[]): Manifest {
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
})
