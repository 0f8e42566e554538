/** Object URLs of pictures that need the bearer header; the oldest go, all go when the reader signs out. */
export class Pictures {
  readonly #urls = new Map<string, string>()

  constructor(readonly keptMax: number) {}

  get = (path: string): string | null => this.#urls.get(path) ?? null

  keep(path: string, blob: Blob): string {
    const url = URL.createObjectURL(blob)
    this.#urls.set(path, url)
    const oldest = this.#urls.keys().next().value
    if (this.#urls.size > this.keptMax && oldest !== undefined) {
      URL.revokeObjectURL(this.#urls.get(oldest) ?? '')
      this.#urls.delete(oldest)
    }
    return url
  }

  forget = (): void => {
    for (const url of this.#urls.values()) URL.revokeObjectURL(url)
    this.#urls.clear()
  }
}
