import type { Dataset } from '../api/dicomweb'
import { number, numbers, TAG, text } from './dicom'

/** How a loop is played: the duration of each frame in ms, and whether the recording states it. */
export interface Cine {
  durationsMs: number[]
  fps: number
  recorded: boolean
}

/** Used only where nothing is recorded, and shown as assumed. */
export const ASSUMED_FPS = 15
export const FPS_MAX = 120

const LOOP_MODALITIES = new Set(['US', 'IVUS', 'XA', 'RF', 'ES', 'XC', 'GM', 'OP'])

function steady(frames: number, rate: number, recorded: boolean): Cine {
  const fps = Math.min(rate, FPS_MAX)
  return { durationsMs: Array.from({ length: frames }, () => 1000 / fps), fps, recorded }
}

/** The vector's entries are the times since the frame before, the first being 0 (PS3.3 C.7.6.5.1.2). */
function fromVector(frames: number, vector: number[]): Cine | null {
  const steps = vector.slice(1, frames)
  const total = steps.reduce((sum, step) => sum + step, 0)
  if (steps.length !== frames - 1 || total <= 0 || steps.some(step => step < 0)) return null
  const mean = total / steps.length
  return { durationsMs: [...steps, mean], fps: 1000 / mean, recorded: true }
}

/** The recorded timing of a multi-frame image (PS3.3 C.7.6.5). */
export function cineOf(dataset: Dataset | undefined, frames: number): Cine {
  const vector = fromVector(frames, numbers(dataset, TAG.frameTimeVector))
  if (vector && frames > 1) return vector
  const time = number(dataset, TAG.frameTime)
  if (time && time > 0) return steady(frames, 1000 / time, true)
  const rate = number(dataset, TAG.recommendedRate) || number(dataset, TAG.cineRate)
  if (rate && rate > 0) return steady(frames, rate, true)
  return steady(frames, ASSUMED_FPS, false)
}

/** Loops start by themselves where motion is the finding; stacks of slices wait for the reader. */
export function startsByItself(dataset: Dataset | undefined, frames: number): boolean {
  if (frames < 2 || dataset?.[TAG.perFrameGroups]) return false
  return LOOP_MODALITIES.has(text(dataset, TAG.modality) ?? '')
}

/** The frame shown `elapsedMs` after `start` at `speed` times the recorded rate: frames are dropped, time is kept. */
export function frameAt(cine: Cine, start: number, elapsedMs: number, speed: number): number {
  const { durationsMs } = cine
  const total = durationsMs.reduce((sum, duration) => sum + duration, 0)
  if (total <= 0) return start
  let left = (elapsedMs * speed) % total
  for (let step = 0; step < durationsMs.length; step++) {
    const index = (start + step) % durationsMs.length
    const duration = durationsMs[index] ?? 0
    if (left < duration) return index
    left -= duration
  }
  return start
}
