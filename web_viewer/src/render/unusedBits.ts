import type { Dataset, FrameBytes } from '../api/dicomweb'
import { number, TAG } from '../data/dicom'

const BIG_ENDIAN = '1.2.840.10008.1.2.2'

/**
 * Old scanners keep overlays in the bits above Bits Stored (PS3.5 8.1.1, retired); taken for pixels they
 * would be bright lines of false density. Clears them, or extends the sign over them, in place.
 */
export function clearUnusedBits(dataset: Dataset, { bytes, transferSyntax }: FrameBytes): void {
  const stored = number(dataset, TAG.bitsStored) ?? 16
  const high = number(dataset, TAG.highBit) ?? stored - 1
  if (number(dataset, TAG.bitsAllocated) !== 16 || stored >= 16 || high !== stored - 1) return
  if (transferSyntax === BIG_ENDIAN) return
  const pixels = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1)
  const shift = 16 - stored
  const signed = number(dataset, TAG.pixelRepresentation) === 1
  for (let i = 0; i < pixels.length; i++) {
    const raised = (pixels[i] ?? 0) << shift
    pixels[i] = signed ? ((raised << 16) >> 16) >> shift : (raised & 0xffff) >>> shift
  }
}
