import { Enums, type StackViewport, type Types } from '@cornerstonejs/core'
import { startsByItself } from '../data/cine'
import type { Item } from '../data/items'
import type { Voi } from '../data/presets'
import { renderingEngine } from './cornerstone'
import { viewEdges } from './edges'
import { unwrapped } from './errors'
import { datasetOf, sourceOf } from './frameLoader'
import { Lite } from './lite'
import { Player } from './player'
import { StackImages } from './stackImages'
import { cineFor, EMPTY, Observable, opened, type ViewState } from './viewState'
import { ensureWindow } from './window'

/** Fast loads do not flash a spinner. */
const SPINNER_AFTER_MS = 150
const { Events, ViewportType } = Enums

/** One cell: a viewport, the stack in it, and what is shown, kept true to each other. */
export class StackView {
  readonly state = new Observable<ViewState>(EMPTY)
  readonly viewport: StackViewport
  readonly lite: Lite
  #displaying = false
  #images: StackImages | null = null
  #player: Player | null = null
  #turn = 0
  #stackSet = false
  #openedAt = 0

  constructor(
    readonly id: string,
    readonly element: HTMLDivElement,
  ) {
    const engine = renderingEngine()
    engine.enableElement({
      viewportId: id,
      element,
      type: ViewportType.STACK,
      defaultOptions: { background: [0, 0, 0] },
    })
    this.viewport = engine.getViewport(id) as StackViewport
    this.lite = new Lite(this.viewport)
    element.addEventListener(Events.VOI_MODIFIED, this.#voiChanged)
    element.addEventListener(Events.CAMERA_MODIFIED, this.#cameraChanged)
  }

  get marks(): Uint8Array | null {
    return this.#images?.marks ?? null
  }

  /** `openedAt` is when the user asked for it, on the clock of `performance.now()`. */
  open(item: Item, openedAt: number): void {
    this.#close()
    this.#openedAt = openedAt
    this.state.set(opened(item))
    if (item.kind === 'document') return
    this.#images = new StackImages(item, id => this.viewport.getLoaderImageOptions(id), this.#imagesChanged)
    this.#imagesChanged()
    void this.show(0)
  }

  /** Shows an image, or says why it cannot: never another one in its place. */
  async show(index: number): Promise<void> {
    const { item } = this.state.get()
    const images = this.#images
    if (!item || !images || index < 0 || index >= images.ids.length) return
    const turn = ++this.#turn
    this.state.patch({ target: index })
    const spinner = setTimeout(
      () => turn === this.#turn && this.state.patch({ phase: 'loading' }),
      SPINNER_AFTER_MS,
    )
    try {
      const image = await images.load(index)
      if (turn !== this.#turn) return
      await this.#display(images, index, image, turn)
      if (turn === this.#turn) images.prefetchAround(index)
    } catch (error) {
      if (turn !== this.#turn) return
      this.pause()
      this.state.patch({ phase: 'failed', error: unwrapped(error) })
    } finally {
      clearTimeout(spinner)
    }
  }

  step(delta: number): void {
    const { item, target } = this.state.get()
    if (!item) return
    const next = Math.min(Math.max(target + delta, 0), item.frames.length - 1)
    if (next !== target) this.seek(next)
  }

  seek(index: number): void {
    this.pause()
    void this.show(index)
  }

  setVoi(voi: Voi): void {
    if (this.state.get().shown === null) return
    this.viewport.setProperties({ voiRange: voi })
    this.viewport.render()
  }

  invert(): void {
    if (this.state.get().shown === null) return
    const inverted = !this.viewport.getProperties().invert
    this.viewport.setProperties({ invert: inverted })
    this.viewport.render()
    this.state.patch({ inverted })
  }

  reset(): void {
    if (this.state.get().shown === null) return
    this.viewport.resetProperties()
    this.viewport.resetCamera()
    this.lite.chose(null)
    this.lite.fitted()
    this.viewport.render()
    this.#readView()
  }

  zoomBy(factor: number): void {
    if (this.state.get().shown === null) return
    this.viewport.setZoom(Math.min(Math.max(this.viewport.getZoom() * factor, 0.1), 30))
    this.viewport.render()
  }

  play(): void {
    const { cine, item, speed } = this.state.get()
    const images = this.#images
    if (!cine || !images || !item || item.frames.length < 2 || this.#player) return
    this.#player = new Player(
      {
        count: item.frames.length,
        shown: () => this.state.get().shown ?? 0,
        isLoaded: index => images.isLoaded(index),
        show: index => this.show(index),
        onBuffering: buffering => this.state.patch({ buffering }),
      },
      cine,
      speed,
    )
    this.#player.start()
    this.state.patch({ playing: true })
  }

  pause(): void {
    this.#player?.stop()
    this.#player = null
    this.state.patch({ playing: false, buffering: false })
  }

  toggle(): void {
    if (this.#player) this.pause()
    else this.play()
  }

  setSpeed(speed: number): void {
    this.state.patch({ speed })
    this.#player?.setSpeed(speed)
  }

  dispose(): void {
    this.#close()
    this.element.removeEventListener(Events.VOI_MODIFIED, this.#voiChanged)
    this.element.removeEventListener(Events.CAMERA_MODIFIED, this.#cameraChanged)
    renderingEngine().disableElement(this.id)
  }

  #close(): void {
    this.pause()
    this.#turn++
    this.#images?.dispose()
    this.#images = null
    this.#stackSet = false
    this.lite.chose(null)
  }

  async #display(images: StackImages, index: number, image: Types.IImage, turn: number): Promise<void> {
    const id = images.ids[index]
    const isFirst = !this.#stackSet
    this.#displaying = true
    try {
      if (isFirst) await this.viewport.setStack(images.ids, index)
      else await this.viewport.setImageIdIndex(index)
      if (turn !== this.#turn) return
      this.#stackSet = true
      if (isFirst) this.lite.fitted()
      else this.lite.settle()
      ensureWindow(this.viewport, image)
    } finally {
      this.#displaying = false
    }
    // `setStack` and `setImageIdIndex` resolve whatever happened: look at what is there.
    if (this.viewport.getCornerstoneImage()?.imageId !== id) throw new Error('the image was not drawn')
    this.viewport.render()
    this.#showed(index, image)
  }

  #showed(index: number, image: Types.IImage): void {
    const { item, firstImageMs, cine } = this.state.get()
    const dataset = datasetOf(image.imageId)
    if (!item || !dataset) return
    const isFirst = cine === null
    this.state.patch({
      phase: 'shown',
      shown: index,
      shownRef: item.frames[index] ?? null,
      dataset,
      error: null,
      color: Boolean(image.color),
      cine: cine ?? cineFor(item, dataset),
      firstImageMs: firstImageMs ?? Math.round(performance.now() - this.#openedAt),
    })
    this.#readView()
    if (!isFirst) return
    if (item.series.instances.length > 1) void sourceOf(image.imageId)?.metadata.all()
    if (item.kind === 'loop' && startsByItself(dataset, item.frames.length)) this.play()
  }

  #readView(): void {
    const { voiRange, invert } = this.viewport.getProperties()
    this.state.patch({ voi: voiRange ?? null, inverted: Boolean(invert) })
    this.#cameraChanged()
  }

  readonly #imagesChanged = (): void => {
    const { loadedVersion } = this.state.get()
    this.state.patch({ loaded: this.#images?.loadedCount ?? 0, loadedVersion: loadedVersion + 1 })
  }

  readonly #voiChanged = (): void => {
    if (this.state.get().shown === null) return
    const voi = this.viewport.getProperties().voiRange ?? null
    if (!this.#displaying) this.lite.chose(voi)
    this.state.patch({ voi })
  }

  readonly #cameraChanged = (): void => {
    const { dataset, shownRef, edges } = this.state.get()
    if (!dataset || !shownRef) return
    const seen = viewEdges(this.viewport.getCamera(), dataset, shownRef.frame)
    const same = JSON.stringify(seen) === JSON.stringify(edges)
    this.state.patch({ zoom: this.lite.zoom, edges: same ? edges : seen })
  }
}
