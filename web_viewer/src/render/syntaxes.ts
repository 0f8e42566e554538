const UID = '1.2.840.10008.1.2'

/** Implicit and explicit little endian, big endian: stored as they are, so their length can be checked. */
export const NATIVE: ReadonlySet<string> = new Set([UID, `${UID}.1`, `${UID}.2`])

/** JPEG Extended (Process 2 and 4). */
export const JPEG_EXTENDED = `${UID}.4.51`

const DECODED: ReadonlySet<string> = new Set([
  ...NATIVE,
  `${UID}.5`, // RLE
  `${UID}.4.50`, // JPEG baseline
  `${UID}.4.57`, // JPEG lossless
  `${UID}.4.70`,
  `${UID}.4.80`, // JPEG-LS
  `${UID}.4.81`,
  `${UID}.4.90`, // JPEG 2000
  `${UID}.4.91`,
  `${UID}.4.201`, // High-throughput JPEG 2000
  `${UID}.4.202`,
  `${UID}.4.203`,
  `${UID}.4.110`, // JPEG XL
  `${UID}.4.111`,
  `${UID}.4.112`,
])

/** Whether the browser shows this exactly. With 8 bits JPEG Extended is what baseline is. */
export function canDecode(transferSyntax: string, bitsAllocated: number | null): boolean {
  return DECODED.has(transferSyntax) || (transferSyntax === JPEG_EXTENDED && bitsAllocated === 8)
}
