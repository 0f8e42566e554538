import type { Dataset } from '../api/dicomweb'
import { items, number, numbers, pixelSpacing, TAG, text } from './dicom'

/** Image coordinates: column, row. */
export type Point = readonly [number, number]

export interface Length {
  value: number
  unit: 'mm' | 'px'
  /** Where millimetres come from when not from the patient's own plane. */
  note: 'detector' | 'region' | null
}

const UNIT_CM = 3
const REGION = {
  minX: '00186018',
  minY: '0018601A',
  maxX: '0018601C',
  maxY: '0018601E',
  dx: '0018602C',
  dy: '0018602E',
}

const distance = (a: Point, b: Point, perColumn: number, perRow: number): number =>
  Math.hypot((a[0] - b[0]) * perColumn, (a[1] - b[1]) * perRow)

/** An ultrasound region in centimetres that holds both points (PS3.3 C.8.5.5). */
function inRegion(dataset: Dataset | undefined, a: Point, b: Point): Length | null {
  for (const region of items(dataset, TAG.usRegions)) {
    const of = (tag: string) => number(region, tag) ?? Number.NaN
    const holds = (p: Point) =>
      p[0] >= of(REGION.minX) && p[0] <= of(REGION.maxX) && p[1] >= of(REGION.minY) && p[1] <= of(REGION.maxY)
    const inCm = of(TAG.usUnitsX) === UNIT_CM && of(TAG.usUnitsY) === UNIT_CM
    if (!inCm || !holds(a) || !holds(b)) continue
    const value = distance(a, b, Math.abs(of(REGION.dx)) * 10, Math.abs(of(REGION.dy)) * 10)
    if (Number.isFinite(value) && value > 0) return { value, unit: 'mm', note: 'region' }
  }
  return null
}

const usable = (spacing: number[]): boolean => spacing.length >= 2 && spacing.every(step => step > 0)

const PROJECTIONS = new Set(['CR', 'DX', 'MG', 'RF', 'XA', 'IO', 'PX', 'RG'])

/** Pixel Spacing of a projection is the detector's unless it says how it was calibrated (PS3.3 10.7.1.3). */
function planeNote(dataset: Dataset | undefined, spacing: number[]): 'detector' | null {
  if (!PROJECTIONS.has(text(dataset, TAG.modality) ?? '') || text(dataset, TAG.calibrationType)) return null
  const detector = numbers(dataset, TAG.imagerPixelSpacing)
  return detector.length === 0 || detector.every((step, axis) => step === spacing[axis]) ? 'detector' : null
}

/** The distance between two points, in mm only where the recording says how large a pixel is. */
export function lengthBetween(dataset: Dataset | undefined, frame: number, a: Point, b: Point): Length {
  const region = inRegion(dataset, a, b)
  if (region) return region
  const spacing = pixelSpacing(dataset, frame)
  if (usable(spacing) && items(dataset, TAG.usRegions).length === 0) {
    const [perRow = 0, perColumn = 0] = spacing
    return { value: distance(a, b, perColumn, perRow), unit: 'mm', note: planeNote(dataset, spacing) }
  }
  for (const tag of [TAG.imagerPixelSpacing, TAG.nominalScannedPixelSpacing]) {
    const detector = numbers(dataset, tag)
    const [perRow = 0, perColumn = 0] = detector
    if (usable(detector)) return { value: distance(a, b, perColumn, perRow), unit: 'mm', note: 'detector' }
  }
  return { value: distance(a, b, 1, 1), unit: 'px', note: null }
}
