import { type Cine, frameAt } from '../data/cine'

export interface Stage {
  count: number
  shown: () => number
  isLoaded: (index: number) => boolean
  show: (index: number) => Promise<void>
  onBuffering: (buffering: boolean) => void
}

/**
 * Plays in real time: where drawing is slower than the recording, frames are left out, so that a
 * heart beats at its own rate. Where pixels are missing the clock stands still.
 */
export class Player {
  readonly #stage: Stage
  readonly #cine: Cine
  #speed: number
  #request = 0
  #startedAt = 0
  #startIndex = 0
  #drawing = false

  constructor(stage: Stage, cine: Cine, speed: number) {
    this.#stage = stage
    this.#cine = cine
    this.#speed = speed
  }

  start(): void {
    this.#restart(performance.now())
    this.#request = requestAnimationFrame(this.#tick)
  }

  stop(): void {
    cancelAnimationFrame(this.#request)
    this.#request = 0
    this.#stage.onBuffering(false)
  }

  setSpeed(speed: number): void {
    this.#restart(performance.now())
    this.#speed = speed
  }

  #restart(now: number): void {
    this.#startedAt = now
    this.#startIndex = this.#stage.shown()
  }

  readonly #tick = (now: number): void => {
    if (!this.#request) return
    this.#request = requestAnimationFrame(this.#tick)
    if (this.#drawing) return
    const index = frameAt(this.#cine, this.#startIndex, Math.max(0, now - this.#startedAt), this.#speed)
    if (index === this.#stage.shown()) return
    if (!this.#stage.isLoaded(index)) this.#wait(now)
    else this.#draw(index)
  }

  /** Goes one frame on as soon as that one is there; its load is what prefetching does next. */
  #wait(now: number): void {
    const next = (this.#stage.shown() + 1) % this.#stage.count
    this.#restart(now)
    this.#stage.onBuffering(!this.#stage.isLoaded(next))
    if (this.#stage.isLoaded(next)) this.#draw(next)
    else void this.#stage.show(next)
  }

  #draw(index: number): void {
    this.#drawing = true
    this.#stage.onBuffering(false)
    void this.#stage.show(index).finally(() => {
      this.#drawing = false
    })
  }
}
