import { cache, Enums, eventTarget, type Types } from '@cornerstonejs/core'
import type { Item } from '../data/items'
import { imageIdOf, type LoadOptions, loadImage } from './frameLoader'
import { forward, outward, Prefetch } from './prefetch'

/** Of the cache, so that one stack leaves room for the other cells. */
const SHARE = 0.6

/** The images of one stack: which are there, and the fetching of the rest. */
export class StackImages {
  readonly ids: string[]
  readonly #index: Map<string, number>
  readonly #loaded: Uint8Array
  readonly #options: (imageId: string) => LoadOptions
  readonly #onChange: () => void
  readonly #prefetch: Prefetch
  #count = 0

  constructor(item: Item, options: (imageId: string) => LoadOptions, onChange: () => void) {
    this.ids = item.frames.map(imageIdOf)
    this.#index = new Map(this.ids.map((id, index) => [id, index]))
    this.#loaded = Uint8Array.from(this.ids, id => (cache.getImage(id) ? 1 : 0))
    this.#count = this.#loaded.reduce((sum, bit) => sum + bit, 0)
    this.#options = options
    this.#onChange = onChange
    this.#prefetch = new Prefetch({
      count: this.ids.length,
      order: item.kind === 'loop' ? forward : outward,
      reach: () => this.#reach(item.kind === 'loop'),
      isLoaded: index => this.isLoaded(index),
      load: index => this.#track(index, this.#fetch(index, true)),
    })
    eventTarget.addEventListener(Enums.Events.IMAGE_CACHE_IMAGE_REMOVED, this.#removed)
  }

  get loadedCount(): number {
    return this.#count
  }

  isLoaded(index: number): boolean {
    return this.#loaded[index] === 1
  }

  /** Reads the marks without copying: the slider draws them. */
  get marks(): Uint8Array {
    return this.#loaded
  }

  load(index: number): Promise<Types.IImage> {
    return this.#track(index, this.#fetch(index, false))
  }

  prefetchAround(index: number): void {
    this.#prefetch.around(index)
  }

  dispose(): void {
    this.#prefetch.stop()
    eventTarget.removeEventListener(Enums.Events.IMAGE_CACHE_IMAGE_REMOVED, this.#removed)
  }

  #fetch(index: number, later: boolean): Promise<Types.IImage> {
    const id = this.ids[index] ?? ''
    return loadImage(id, this.#options(id), later)
  }

  async #track(index: number, loading: Promise<Types.IImage>): Promise<Types.IImage> {
    const image = await loading
    this.#mark(index, 1)
    return image
  }

  #mark(index: number, bit: 0 | 1): void {
    if (this.#loaded[index] === bit) return
    this.#loaded[index] = bit
    this.#count += bit ? 1 : -1
    this.#onChange()
  }

  #reach(oneWay: boolean): number {
    const known = this.ids.find((_, index) => this.isLoaded(index))
    const bytes = (known && cache.getImage(known)?.sizeInBytes) || 1024 * 1024
    const room = Math.max(2, Math.floor((cache.getMaxCacheSize() * SHARE) / bytes))
    return oneWay ? room : Math.floor(room / 2)
  }

  readonly #removed = (event: Event): void => {
    const { imageId } = (event as CustomEvent<{ imageId: string }>).detail
    const index = this.#index.get(imageId)
    if (index !== undefined) this.#mark(index, 0)
  }
}
