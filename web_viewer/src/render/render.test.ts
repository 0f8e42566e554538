import { describe, expect, it, vi } from 'vitest'
import type { Dataset } from '../api/dicomweb'
import { forward, outward, Prefetch } from './prefetch'
import { canDecode } from './syntaxes'
import { clearUnusedBits } from './unusedBits'

const LITTLE_ENDIAN = '1.2.840.10008.1.2.1'

function pixels(values: number[], stored: number, signed: 0 | 1): number[] {
  const words = Int16Array.from(values)
  const dataset: Dataset = {
    '00280100': { vr: 'US', Value: [16] },
    '00280101': { vr: 'US', Value: [stored] },
    '00280102': { vr: 'US', Value: [stored - 1] },
    '00280103': { vr: 'US', Value: [signed] },
  }
  clearUnusedBits(dataset, { bytes: new Uint8Array(words.buffer), transferSyntax: LITTLE_ENDIAN })
  return [...words]
}

describe('clearUnusedBits', () => {
  it('takes an overlay out of the high bits', () => {
    expect(pixels([0x1005, 0x0fff, 0x7abc], 12, 0)).toEqual([5, 0xfff, 0xabc])
  })

  it('keeps the sign of signed pixels, whether extended or not', () => {
    expect(pixels([0x0fff, -1, 0x07ff, 0x1800], 12, 1)).toEqual([-1, -1, 2047, -2048])
  })

  it('leaves 16 stored bits alone', () => {
    expect(pixels([-5, 1234], 16, 1)).toEqual([-5, 1234])
  })
})

describe('canDecode', () => {
  it('leaves 12-bit JPEG to the server', () => {
    expect(canDecode('1.2.840.10008.1.2.4.51', 16)).toBe(false)
    expect(canDecode('1.2.840.10008.1.2.4.51', 8)).toBe(true)
    expect(canDecode('1.2.840.10008.1.2.4.102', 8)).toBe(false)
  })
})

describe('prefetching', () => {
  it('goes outwards, those ahead first', () => {
    expect(outward(5, 1, 10)).toEqual([2, 0, 3, 4])
    expect(outward(5, 2, 1)).toEqual([3, 1])
    expect(forward(4, 2, 10)).toEqual([3, 0, 1])
  })

  it('keeps to four at once, and does not ask again for what failed', async () => {
    const loaded = new Set<number>()
    let running = 0
    let most = 0
    const load = vi.fn(async (index: number) => {
      most = Math.max(most, ++running)
      await Promise.resolve()
      running--
      if (index === 3) throw new Error('gone')
      loaded.add(index)
    })
    const prefetch = new Prefetch({
      count: 20,
      order: outward,
      reach: () => 20,
      isLoaded: i => loaded.has(i),
      load,
    })
    prefetch.around(0)
    await vi.waitFor(() => expect(loaded.size).toBe(18))
    prefetch.around(5)
    await Promise.resolve()
    expect(most).toBe(4)
    expect(load.mock.calls.filter(([index]) => index === 3)).toHaveLength(1)
  })

  it('gives up when the server fails again and again', async () => {
    const load = vi.fn(async () => {
      throw new Error('away')
    })
    const prefetch = new Prefetch({
      count: 100,
      order: outward,
      reach: () => 99,
      isLoaded: () => false,
      load,
    })
    prefetch.around(0)
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(load.mock.calls.length).toBeLessThan(12)
  })
})
