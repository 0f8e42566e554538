import type { Types } from '@cornerstonejs/core'
import type { Dataset } from '../api/dicomweb'
import { imageOrientation, TAG, values } from '../data/dicom'
import { type Edges, edgesOfProjection, edgesOfView, type Vector } from '../data/orientation'

/** Without an orientation in the image there are no letters: cornerstone would assume an axial one. */
export function viewEdges(camera: Types.ICamera, dataset: Dataset, frame: number): Edges | null {
  const orientation = imageOrientation(dataset, frame)
  if (orientation.length !== 6) return edgesOfProjection(values(dataset, TAG.patientOrientation))
  const { viewUp, viewPlaneNormal } = camera
  if (!viewUp || !viewPlaneNormal) return null
  return edgesOfView(viewUp as Vector, viewPlaneNormal as Vector)
}
