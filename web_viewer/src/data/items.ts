import { instancePath } from '../api/dicomweb'
import type { Instance, Manifest, Series } from '../api/types'

/** One image of a stack: an instance and a frame of it, counted from 1. */
export interface FrameRef {
  studyUid: string
  seriesUid: string
  sopUid: string
  frame: number
  instance: Instance
}

/** One entry of the rail: a stack of images, one loop, or a document. */
export interface Item {
  key: string
  series: Series
  kind: 'stack' | 'loop' | 'document'
  frames: FrameRef[]
  thumbnail: string | null
  /** Which loop of the series it is, counted from 1; null where the series is one entry. */
  part: number | null
}

function framesOf(manifest: Manifest, series: Series, instances: Instance[]): FrameRef[] {
  return instances.flatMap(instance =>
    Array.from({ length: Math.max(1, instance.frames) }, (_, index) => ({
      studyUid: manifest.study_uid,
      seriesUid: series.series_uid,
      sopUid: instance.sop_uid,
      frame: index + 1,
      instance,
    })),
  )
}

const hasPicture = (instance: Instance): boolean => Boolean(instance.rows && instance.columns)

function split(manifest: Manifest, series: Series): Item[] {
  const pictures = series.viewable ? series.instances.filter(hasPicture) : []
  const loops = pictures.filter(instance => instance.frames > 1)
  const singles = pictures.filter(instance => instance.frames <= 1)
  const found: Item[] = []
  if (singles.length > 0) {
    const frames = framesOf(manifest, series, singles)
    found.push({
      key: series.series_uid,
      series,
      kind: 'stack',
      frames,
      thumbnail: series.thumbnail,
      part: null,
    })
  }
  for (const loop of loops) {
    const frames = framesOf(manifest, series, [loop])
    found.push({ key: loop.sop_uid, series, kind: 'loop', frames, thumbnail: null, part: null })
  }
  if (found.length === 0) {
    const frames = framesOf(manifest, series, series.instances)
    return [
      { key: series.series_uid, series, kind: 'document', frames, thumbnail: series.thumbnail, part: null },
    ]
  }
  if (found.length === 1 && found[0]) return [{ ...found[0], thumbnail: series.thumbnail }]
  return found.map((item, index) => ({ ...item, thumbnail: ownThumbnail(item), part: index + 1 }))
}

function ownThumbnail(item: Item): string | null {
  const middle = item.frames[item.kind === 'loop' ? 0 : Math.floor(item.frames.length / 2)]
  if (!middle) return item.series.thumbnail
  return `${instancePath(middle.studyUid, middle.seriesUid, middle.sopUid)}/thumbnail`
}

/** A loop is an entry of its own: concatenated, two loops would play as one. */
export function itemsOf(manifest: Manifest): Item[] {
  return manifest.series.flatMap(series => split(manifest, series))
}

/** Modalities whose series are slices: a short one beside them is their localizer. */
const SLICED = new Set(['CT', 'MR', 'PT'])
const SLICES_MIN = 5

const isLocalizer = (item: Item): boolean =>
  SLICED.has(item.series.modality) && item.frames.length < SLICES_MIN

/** What a study opens with: the entry of that key, else the first picture that is no localizer. */
export function itemToOpen(items: Item[], key: string | null): Item | null {
  const chosen = items.find(item => item.key === key)
  const pictures = items.filter(item => item.kind !== 'document')
  return chosen ?? pictures.find(item => !isLocalizer(item)) ?? pictures[0] ?? items[0] ?? null
}
