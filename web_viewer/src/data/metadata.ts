import { type Dataset, fetchMetadata, instancePath, seriesPath } from '../api/dicomweb'
import { text } from './dicom'

const SOP_UID = '00080018'

/**
 * The metadata of one series. An image that is wanted now asks for its own; the rest comes with one
 * request for the series, so that the first picture does not wait for a thousand headers.
 */
export class SeriesMetadata {
  readonly #known = new Map<string, Dataset>()
  readonly #asked = new Map<string, Promise<Dataset>>()
  #all: Promise<void> | null = null
  #abort = new AbortController()

  constructor(
    readonly studyUid: string,
    readonly seriesUid: string,
  ) {}

  get(sopUid: string): Dataset | undefined {
    return this.#known.get(sopUid)
  }

  need(sopUid: string): Promise<Dataset> {
    const known = this.#known.get(sopUid)
    if (known) return Promise.resolve(known)
    let asked = this.#asked.get(sopUid)
    if (!asked) {
      asked = this.#one(sopUid).finally(() => this.#asked.delete(sopUid))
      this.#asked.set(sopUid, asked)
    }
    return asked
  }

  /** For images that are fetched ahead: waits for the series, then falls back to the single request. */
  async needLater(sopUid: string): Promise<Dataset> {
    await this.all()
    return this.need(sopUid)
  }

  /** Never fails: what did not come is asked for one by one, and the error shown where it is wanted. */
  all(): Promise<void> {
    this.#all ??= fetchMetadata(seriesPath(this.studyUid, this.seriesUid), this.#abort.signal)
      .then(datasets => {
        for (const dataset of datasets) this.#keep(dataset)
      })
      .catch(() => {})
    return this.#all
  }

  dispose(): void {
    this.#abort.abort()
    this.#abort = new AbortController()
    this.#all = null
  }

  async #one(sopUid: string): Promise<Dataset> {
    const [dataset] = await fetchMetadata(instancePath(this.studyUid, this.seriesUid, sopUid))
    if (!dataset) throw new Error('no metadata for this image')
    // A server may leave out an identifier that breaks the standard, but not put another in its place.
    if ((text(dataset, SOP_UID) ?? sopUid) !== sopUid)
      throw new Error('this is the metadata of another image')
    this.#known.set(sopUid, dataset)
    return dataset
  }

  #keep(dataset: Dataset): void {
    const uid = text(dataset, SOP_UID)
    if (uid && !this.#known.has(uid)) this.#known.set(uid, dataset)
  }
}

const SERIES_KEPT_MAX = 40
const stores = new Map<string, SeriesMetadata>()

export function seriesMetadata(studyUid: string, seriesUid: string): SeriesMetadata {
  const key = `${studyUid}/${seriesUid}`
  const store = stores.get(key) ?? new SeriesMetadata(studyUid, seriesUid)
  stores.delete(key)
  stores.set(key, store)
  const oldest = stores.keys().next().value
  if (stores.size > SERIES_KEPT_MAX && oldest !== undefined) stores.delete(oldest)
  return store
}

/** Nothing of a patient stays behind for the next user of the browser. */
export function forgetMetadata(): void {
  for (const store of stores.values()) store.dispose()
  stores.clear()
}
