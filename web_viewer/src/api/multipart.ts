/** One part of a multipart/related answer. */
export interface Part {
  contentType: string
  body: Uint8Array<ArrayBuffer>
}

const NEWLINE = 13
const decoder = new TextDecoder('latin1')

/** `name=value` and `name="value"` parameters of a header field, names in lower case. */
export function parameters(header: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const match of header.matchAll(/;\s*([^=;\s]+)=(?:"([^"]*)"|([^;\s]*))/g)) {
    found.set((match[1] ?? '').toLowerCase(), match[2] ?? match[3] ?? '')
  }
  return found
}

function headerEnd(bytes: Uint8Array): number {
  for (let i = 0; i + 3 < bytes.length; i++) {
    if (bytes[i] === NEWLINE && bytes[i + 1] === 10 && bytes[i + 2] === NEWLINE && bytes[i + 3] === 10)
      return i
  }
  return -1
}

/** Searches backwards: the pixels before the closing boundary are never looked at. */
function lastIndexOf(bytes: Uint8Array, text: string, from: number): number {
  const needle = Uint8Array.from(text, char => char.charCodeAt(0))
  for (let i = bytes.length - needle.length; i >= from; i--) {
    if (needle.every((byte, j) => bytes[i + j] === byte)) return i
  }
  return -1
}

/** The only part of an answer for one frame (PS3.18 8.6.1.2). Throws when the answer was cut short. */
export function singlePart(contentType: string, buffer: ArrayBuffer): Part {
  const bytes = new Uint8Array(buffer)
  if (!/^multipart\//i.test(contentType)) return { contentType, body: bytes }
  const start = headerEnd(bytes)
  if (start < 0) throw new Error('multipart answer without a part header')
  const head = decoder.decode(bytes.subarray(0, start))
  const boundary = parameters(contentType).get('boundary') ?? head.split('\r\n', 1)[0]?.slice(2) ?? ''
  const end = lastIndexOf(bytes, `\r\n--${boundary}--`, start + 2)
  if (!boundary || end < 0) throw new Error('multipart answer without its closing boundary')
  const type = /^content-type:\s*(.*)$/im.exec(head)?.[1]?.trim() ?? 'application/octet-stream'
  return { contentType: type, body: bytes.slice(start + 4, end) }
}
