import { fetchBlob } from '../api/dicomweb'

const AT_ONCE_MAX = 3
const KEPT_MAX = 300

const urls = new Map<string, string>()
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

function keep(path: string, url: string): string {
  urls.set(path, url)
  const oldest = urls.keys().next().value
  if (urls.size > KEPT_MAX && oldest !== undefined) {
    URL.revokeObjectURL(urls.get(oldest) ?? '')
    urls.delete(oldest)
  }
  return url
}

export const cachedThumbnail = (path: string): string | null => urls.get(path) ?? null

/** An object URL of a picture that needs the bearer header. `wanted` is asked again when its turn comes. */
export function thumbnail(path: string, wanted: () => boolean): Promise<string | null> {
  const known = urls.get(path)
  if (known) return Promise.resolve(known)
  const under = pending.get(path)
  if (under) return under
  return slot(async () => {
    if (!wanted()) return null
    const fetched =
      pending.get(path) ?? fetchBlob(path, 'image/*').then(blob => keep(path, URL.createObjectURL(blob)))
    pending.set(path, fetched)
    return fetched.finally(() => pending.delete(path))
  })
}

export function forgetThumbnails(): void {
  for (const url of urls.values()) URL.revokeObjectURL(url)
  urls.clear()
}
