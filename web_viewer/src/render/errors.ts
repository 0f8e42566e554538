/** Why an image could not be shown; the words are the page's. */
export type ImageErrorCode = 'decode' | 'unsupported' | 'length' | 'palette' | 'metadata'

export class ImageError extends Error {
  constructor(
    readonly code: ImageErrorCode,
    readonly detail: string,
  ) {
    super(`${code}: ${detail}`)
    this.name = 'ImageError'
  }
}

/** Cornerstone hands on failures wrapped in objects of its own. */
export function unwrapped(error: unknown): Error {
  if (error instanceof Error) return error
  const inner = (error as { error?: unknown } | null)?.error
  return inner instanceof Error ? inner : new Error(String(inner ?? error))
}
