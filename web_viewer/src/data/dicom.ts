import type { Dataset } from '../api/dicomweb'

/** Tags read by the viewer itself; the image loader reads its own. */
export const TAG = {
  sopClass: '00080016',
  studyDate: '00080020',
  modality: '00080060',
  institution: '00080080',
  studyDescription: '00081030',
  seriesDescription: '0008103E',
  recommendedRate: '00082144',
  patientName: '00100010',
  patientId: '00100020',
  birthDate: '00100030',
  sex: '00100040',
  sliceThickness: '00180050',
  cineRate: '00180040',
  frameTime: '00181063',
  frameTimeVector: '00181065',
  magnification: '00181114',
  imagerPixelSpacing: '00181164',
  nominalScannedPixelSpacing: '00182010',
  usRegions: '00186011',
  usUnitsX: '00186024',
  usUnitsY: '00186026',
  seriesNumber: '00200011',
  instanceNumber: '00200013',
  patientOrientation: '00200020',
  position: '00200032',
  orientation: '00200037',
  sliceLocation: '00201041',
  samples: '00280002',
  photometric: '00280004',
  frames: '00280008',
  rows: '00280010',
  columns: '00280011',
  pixelSpacing: '00280030',
  aspectRatio: '00280034',
  calibrationType: '00280A02',
  bitsAllocated: '00280100',
  bitsStored: '00280101',
  highBit: '00280102',
  pixelRepresentation: '00280103',
  redPaletteData: '00281201',
  segmentedRedPaletteData: '00281221',
  sharedGroups: '52009229',
  perFrameGroups: '52009230',
} as const

const PIXEL_MEASURES = '00289110'
const PLANE_POSITION = '00209113'
const PLANE_ORIENTATION = '00209116'

export function values(dataset: Dataset | undefined, tag: string): unknown[] {
  return dataset?.[tag]?.Value ?? []
}

export function text(dataset: Dataset | undefined, tag: string): string | null {
  const value = values(dataset, tag)[0]
  if (value === null || value === undefined || typeof value === 'object') return null
  const trimmed = String(value).trim()
  return trimmed || null
}

export function numbers(dataset: Dataset | undefined, tag: string): number[] {
  return values(dataset, tag).map(Number).filter(Number.isFinite)
}

export function number(dataset: Dataset | undefined, tag: string): number | null {
  return numbers(dataset, tag)[0] ?? null
}

export function items(dataset: Dataset | undefined, tag: string): Dataset[] {
  return values(dataset, tag).filter((item): item is Dataset => typeof item === 'object' && item !== null)
}

export interface PersonName {
  alphabetic: string | null
  ideographic: string | null
}

/** `Family^Given^Middle^Prefix^Suffix` as people read it (PS3.5 6.2.1). */
export function readableName(raw: string | null | undefined): string | null {
  if (!raw) return null
  const readable = raw
    .split('^')
    .map(part => part.trim())
    .filter(Boolean)
    .join(' ')
  return readable || null
}

export function personName(dataset: Dataset | undefined, tag: string): PersonName {
  const value = values(dataset, tag)[0] as { Alphabetic?: string; Ideographic?: string } | undefined
  return {
    alphabetic: readableName(value?.Alphabetic),
    ideographic: readableName(value?.Ideographic)?.replaceAll(' ', '') ?? null,
  }
}

/** An attribute of one frame: its own functional group, the shared one, then the top level (PS3.3 C.7.6.16). */
function ofFrame(dataset: Dataset | undefined, frame: number, group: string, tag: string): number[] {
  const own = items(items(dataset, TAG.perFrameGroups)[frame - 1], group)[0]
  const shared = items(items(dataset, TAG.sharedGroups)[0], group)[0]
  for (const source of [own, shared, dataset]) {
    const found = numbers(source, tag)
    if (found.length > 0) return found
  }
  return []
}

export const pixelSpacing = (dataset: Dataset | undefined, frame: number): number[] =>
  ofFrame(dataset, frame, PIXEL_MEASURES, TAG.pixelSpacing)
export const sliceThickness = (dataset: Dataset | undefined, frame: number): number | null =>
  ofFrame(dataset, frame, PIXEL_MEASURES, TAG.sliceThickness)[0] ?? null
export const imageOrientation = (dataset: Dataset | undefined, frame: number): number[] =>
  ofFrame(dataset, frame, PLANE_ORIENTATION, TAG.orientation)
export const imagePosition = (dataset: Dataset | undefined, frame: number): number[] =>
  ofFrame(dataset, frame, PLANE_POSITION, TAG.position)

/** Where a slice lies along its normal in mm; only without geometry the recorded location, which is free text to makers. */
export function sliceLocation(dataset: Dataset | undefined, frame: number): number | null {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = imageOrientation(dataset, frame)
  const position = imagePosition(dataset, frame)
  const normal = [b * f - c * e, c * d - a * f, a * e - b * d]
  if (position.length === 3 && normal.some(part => part !== 0)) {
    return position.reduce((sum, part, axis) => sum + part * (normal[axis] ?? 0), 0)
  }
  return number(dataset, TAG.sliceLocation)
}
