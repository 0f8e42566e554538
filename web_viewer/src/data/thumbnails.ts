import { fetchBlob } from '../api/dicomweb'
import { Pictures } from './pictures'

const AT_ONCE_MAX = 3
const KEPT_MAX = 300

const pictures = new Pictures(KEPT_MAX)
const pending = new Map<string, Promise<string>>()
const waiting: (() => void)[] = []
let running = 0

async function slot<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE_MAX) await new Promise<void>(resolve => waiting.push(resolve))
  running++
  try {
    return await work()
  } finally {
    running--
    // The newest request first: it is the one still in view.
    waiting.pop()?.()
  }
}

export const cachedThumbnail = pictures.get
export const forgetThumbnails = pictures.forget

/** An object URL of a picture that needs the bearer header. `wanted` is asked again when its turn comes. */
export function thumbnail(path: string, wanted: () => boolean): Promise<string | null> {
  const known = pictures.get(path)
  if (known) return Promise.resolve(known)
  const under = pending.get(path)
  if (under) return under
  return slot(async () => {
    if (!wanted()) return null
    const fetched = pending.get(path) ?? fetchBlob(path, 'image/*').then(blob => pictures.keep(path, blob))
    pending.set(path, fetched)
    return fetched.finally(() => pending.delete(path))
  })
}
