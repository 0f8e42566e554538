/** Indices from `start` outwards, those ahead first; `reach` on either side. */
export function outward(count: number, start: number, reach: number): number[] {
  const order: number[] = []
  for (let step = 1; step <= reach && step < count; step++) {
    if (start + step < count) order.push(start + step)
    if (start - step >= 0) order.push(start - step)
  }
  return order
}

/** Indices in playing order, wrapping round. */
export function forward(count: number, start: number, reach: number): number[] {
  return Array.from({ length: Math.min(count - 1, reach) }, (_, step) => (start + step + 1) % count)
}

/** Of the six connections that HTTP/1.1 gives a page, two stay free for what the reader asks for now. */
const AT_ONCE_MAX = 4
/** Then the server is in trouble, and asking for hundreds more would not help it. */
const FAILURES_IN_A_ROW_MAX = 4

export interface PrefetchTask {
  count: number
  order: (count: number, start: number, reach: number) => number[]
  reach: () => number
  isLoaded: (index: number) => boolean
  load: (index: number) => Promise<unknown>
}

/** Loads a stack from the current image outwards, a few at a time. */
export class Prefetch {
  readonly #task: PrefetchTask
  readonly #failed = new Set<number>()
  readonly #running = new Set<number>()
  #queue: number[] = []
  #failures = 0
  #stopped = false

  constructor(task: PrefetchTask) {
    this.#task = task
  }

  around(index: number): void {
    const { count, order, reach, isLoaded } = this.#task
    this.#failures = 0
    this.#queue = order(count, index, reach()).filter(
      i => !isLoaded(i) && !this.#failed.has(i) && !this.#running.has(i),
    )
    this.#fill()
  }

  stop(): void {
    this.#stopped = true
    this.#queue = []
  }

  #fail(index: number): void {
    this.#failed.add(index)
    if (++this.#failures >= FAILURES_IN_A_ROW_MAX) this.#queue = []
  }

  #fill(): void {
    while (!this.#stopped && this.#running.size < AT_ONCE_MAX) {
      const index = this.#queue.shift()
      if (index === undefined) return
      if (this.#task.isLoaded(index) || this.#running.has(index)) continue
      this.#running.add(index)
      this.#task
        .load(index)
        .then(() => {
          this.#failures = 0
        })
        // Left for the moment when it is shown: then it is asked for again, and the error told.
        .catch(() => this.#fail(index))
        .finally(() => {
          this.#running.delete(index)
          this.#fill()
        })
    }
  }
}
