import { cache } from '@cornerstonejs/core'
import { fromVoi } from '../data/presets'
import type { StackView } from './stackView'

/** What tests read from outside: nothing here can change what is shown. */
export interface Probe {
  state: () => object | null
  pixels: () => object | null
}

/** Enough of the image for a comparison with pydicom, without handing out the live buffer. */
function pixelsOf(view: StackView): object | null {
  const { phase, shownRef } = view.state.get()
  const image = phase === 'shown' && shownRef ? view.viewport.getCornerstoneImage() : null
  if (!image || !cache.getImage(image.imageId)) return null
  const data = image.voxelManager?.getScalarData() ?? image.getPixelData()
  return {
    sopUid: shownRef?.sopUid,
    frame: shownRef?.frame,
    rows: image.rows,
    columns: image.columns,
    components: image.numberOfComponents,
    color: image.color,
    type: data.constructor.name,
    data: Array.from(data as ArrayLike<number>),
  }
}

function stateOf(view: StackView): object {
  const s = view.state.get()
  return {
    studyUid: s.item?.frames[0]?.studyUid ?? null,
    seriesUid: s.item?.series.series_uid ?? null,
    sopUid: s.phase === 'shown' ? (s.shownRef?.sopUid ?? null) : null,
    frame: s.shownRef?.frame ?? null,
    index: s.shown,
    target: s.target,
    count: s.item?.frames.length ?? 0,
    loaded: s.loaded,
    phase: s.phase,
    error: s.error?.message ?? null,
    voi: s.voi,
    window: s.voi ? fromVoi(s.voi) : null,
    zoom: s.zoom,
    inverted: s.inverted,
    playing: s.playing,
    fps: s.cine && (s.item?.frames.length ?? 0) > 1 ? s.cine.fps * s.speed : null,
    firstImageMs: s.firstImageMs,
    edges: s.edges,
  }
}

export function exposeProbe(active: () => StackView | null): () => void {
  const probe: Probe = {
    state: () => {
      const view = active()
      return view ? stateOf(view) : null
    },
    pixels: () => {
      const view = active()
      return view ? pixelsOf(view) : null
    },
  }
  const holder = window as { __tongying?: Probe }
  holder.__tongying = Object.freeze(probe)
  return () => {
    delete holder.__tongying
  }
}
