import type { StackViewport, Types } from '@cornerstonejs/core'

/** Floating-point pixels without a recorded window have none in cornerstone either: show all that is there. */
export function ensureWindow(viewport: StackViewport, image: Types.IImage): void {
  if (image.color || viewport.getProperties().voiRange) return
  let lower = Number.POSITIVE_INFINITY
  let upper = Number.NEGATIVE_INFINITY
  for (const value of image.voxelManager?.getScalarData() ?? image.getPixelData()) {
    if (value < lower) lower = value
    if (value > upper) upper = value
  }
  if (upper > lower) viewport.setProperties({ voiRange: { lower, upper } })
}
