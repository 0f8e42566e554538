import { describe, expect, it } from 'vitest'
import type { Dataset } from '../api/dicomweb'
import { ASSUMED_FPS, cineOf, frameAt, startsByItself } from './cine'

const of = (tags: Record<string, unknown[]>): Dataset =>
  Object.fromEntries(Object.entries(tags).map(([tag, Value]) => [tag, { vr: 'UN', Value }]))

describe('cineOf', () => {
  it('plays at the recorded frame time', () => {
    expect(cineOf(of({ '00181063': ['76.0'] }), 10)).toMatchObject({ fps: 1000 / 76, recorded: true })
  })

  it('follows a vector of frame times, whose first entry is no duration', () => {
    const cine = cineOf(of({ '00181065': [0, 20, 40, 60] }), 4)
    expect(cine.durationsMs).toEqual([20, 40, 60, 40])
    expect(cine.fps).toBe(25)
  })

  it('leaves aside a vector that does not fit the frames', () => {
    expect(cineOf(of({ '00181065': [0, 20], '00181063': [50] }), 4).fps).toBe(20)
  })

  it('takes the recommended rate, then the cine rate', () => {
    expect(cineOf(of({ '00082144': [24], '00180040': [30] }), 5).fps).toBeCloseTo(24)
    expect(cineOf(of({ '00180040': [30] }), 5).fps).toBeCloseTo(30)
  })

  it('says when it only assumes', () => {
    expect(cineOf(of({}), 5)).toMatchObject({ fps: ASSUMED_FPS, recorded: false })
    expect(cineOf(of({ '00181063': [0] }), 5).recorded).toBe(false)
  })
})

describe('frameAt', () => {
  const cine = cineOf(of({ '00181063': [100] }), 5)
  it('keeps time by leaving frames out, and wraps round', () => {
    expect(frameAt(cine, 0, 99, 1)).toBe(0)
    expect(frameAt(cine, 0, 250, 1)).toBe(2)
    expect(frameAt(cine, 3, 250, 1)).toBe(0)
    expect(frameAt(cine, 0, 250, 2)).toBe(0)
    expect(frameAt(cine, 0, 60_000, 1)).toBe(0)
  })
})

describe('startsByItself', () => {
  it('for ultrasound loops, not for slices', () => {
    expect(startsByItself(of({ '00080060': ['US'] }), 10)).toBe(true)
    expect(startsByItself(of({ '00080060': ['US'] }), 1)).toBe(false)
    expect(startsByItself(of({ '00080060': ['MR'], '00181063': [50] }), 10)).toBe(false)
  })
})
