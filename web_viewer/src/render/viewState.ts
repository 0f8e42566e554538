import type { Dataset } from '../api/dicomweb'
import { type Cine, cineOf } from '../data/cine'
import type { FrameRef, Item } from '../data/items'
import type { Edges } from '../data/orientation'
import type { Voi } from '../data/presets'

/** What one cell shows, without its pixels. A new object for every change. */
export interface ViewState {
  item: Item | null
  phase: 'empty' | 'loading' | 'shown' | 'failed'
  /** The image asked for; while it loads, `shown` is still another or null. */
  target: number
  shown: number | null
  shownRef: FrameRef | null
  dataset: Dataset | null
  error: Error | null
  voi: Voi | null
  zoom: number
  inverted: boolean
  color: boolean
  edges: Edges | null
  loaded: number
  /** Counts changes of the set of loaded images. */
  loadedVersion: number
  playing: boolean
  buffering: boolean
  cine: Cine | null
  /** Times the recorded rate. */
  speed: number
  firstImageMs: number | null
}

export const EMPTY: ViewState = {
  item: null,
  phase: 'empty',
  target: 0,
  shown: null,
  shownRef: null,
  dataset: null,
  error: null,
  voi: null,
  zoom: 1,
  inverted: false,
  color: false,
  edges: null,
  loaded: 0,
  loadedVersion: 0,
  playing: false,
  buffering: false,
  cine: null,
  speed: 1,
  firstImageMs: null,
}

export function opened(item: Item): ViewState {
  return { ...EMPTY, item, phase: item.kind === 'document' ? 'empty' : 'loading' }
}

/** A stack of single images has no recorded rate of its own. */
export function cineFor(item: Item, dataset: Dataset): Cine {
  return cineOf(item.kind === 'loop' ? dataset : undefined, item.frames.length)
}

/** A value that changes and tells whoever listens. */
export class Observable<T extends object> {
  #value: T
  readonly #listeners = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  readonly get = (): T => this.#value

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  set(value: T): void {
    this.#value = value
    for (const listener of this.#listeners) listener()
  }

  patch(changes: Partial<T>): void {
    const changed = (Object.keys(changes) as (keyof T)[]).some(key => changes[key] !== this.#value[key])
    if (changed) this.set({ ...this.#value, ...changes })
  }
}
