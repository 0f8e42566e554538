import type { Dataset } from '../api/dicomweb'
import { items, number, numbers, pixelSpacing, TAG, text } from './dicom'

/** Image coordinates: column, row. */
export type Point = readonly [number, number]

export interface Length {
  value: number
  unit: 'mm' | 'px'
  /** Where millimetres come from when not from the patient's own plane. */
  note: 'detector' | 'magnified' | 'calibrated' | 'region' | null
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

interface Scale {
  /** mm from row to row, and from column to column. */
  spacing: number[]
  note: Length['note']
}

/** A detector's spacing is that of a shadow; the recorded magnification brings it down to the patient. */
function atDetector(dataset: Dataset | undefined, spacing: number[]): Scale {
  const factor = number(dataset, TAG.magnification) ?? 1
  if (factor <= 1) return { spacing, note: 'detector' }
  return { spacing: spacing.map(step => step / factor), note: 'magnified' }
}

/** Pixel Spacing of a projection is the detector's too, unless it was calibrated (PS3.3 10.7.1.3). */
function scaleOf(dataset: Dataset | undefined, frame: number): Scale | null {
  const plane = pixelSpacing(dataset, frame)
  const detector = numbers(dataset, TAG.imagerPixelSpacing)
  const projection = PROJECTIONS.has(text(dataset, TAG.modality) ?? '')
  if (usable(plane) && !projection) return { spacing: plane, note: null }
  const differs = usable(detector) && detector.some((step, axis) => step !== plane[axis])
  if (usable(plane) && (differs || text(dataset, TAG.calibrationType))) {
    return { spacing: plane, note: 'calibrated' }
  }
  const shadow = [detector, plane, numbers(dataset, TAG.nominalScannedPixelSpacing)].find(usable)
  return shadow ? atDetector(dataset, shadow) : null
}

/** The distance between two points, in mm only where the recording says how large a pixel is. */
export function lengthBetween(dataset: Dataset | undefined, frame: number, a: Point, b: Point): Length {
  const region = inRegion(dataset, a, b)
  if (region) return region
  // With regions, what lies outside of them is text or a curve, whatever Pixel Spacing says.
  const scale = items(dataset, TAG.usRegions).length === 0 ? scaleOf(dataset, frame) : null
  if (!scale) return { value: distance(a, b, 1, 1), unit: 'px', note: null }
  const [perRow = 0, perColumn = 0] = scale.spacing
  return { value: distance(a, b, perColumn, perRow), unit: 'mm', note: scale.note }
}
