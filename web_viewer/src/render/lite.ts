import { getShouldUseCPURendering, type StackViewport } from '@cornerstonejs/core'
import type { Voi } from '../data/presets'

/**
 * Drawing without WebGL. Cornerstone's way there keeps the window of the last image on the screen while it
 * reports that of the new one, and counts zoom in screen pixels; this makes both mean what they do with WebGL.
 */
export class Lite {
  #userVoi: Voi | null = null
  #fit = 1

  constructor(readonly viewport: StackViewport) {}

  get on(): boolean {
    return getShouldUseCPURendering()
  }

  /** What the reader chose holds for the images that follow. */
  chose(voi: Voi | null): void {
    this.#userVoi = voi
  }

  /** After another image of the stack: draws with the window that is reported. */
  settle(): void {
    const voiRange = this.#userVoi ?? this.viewport.getProperties().voiRange
    if (this.on && voiRange) this.viewport.setProperties({ voiRange })
  }

  /** The size on the screen is that of the start: zoom counts from here. */
  fitted(): void {
    this.#fit = this.on ? this.viewport.getZoom() : 1
  }

  get zoom(): number {
    return this.viewport.getZoom() / this.#fit
  }
}
