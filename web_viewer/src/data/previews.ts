import { fetchBlob, instancePath } from '../api/dicomweb'
import type { FrameRef } from './items'
import { Pictures } from './pictures'

const KEPT_MAX = 8
const SIDE_PX_MAX = 1024

const pictures = new Pictures(KEPT_MAX)

/** The server's picture of exactly this image, with its own window; made smaller where it is large. */
export function previewPath({ studyUid, seriesUid, sopUid, frame, instance }: FrameRef): string {
  const path = `${instancePath(studyUid, seriesUid, sopUid)}/frames/${frame}/rendered`
  const large = Math.max(instance.rows ?? 0, instance.columns ?? 0) > SIDE_PX_MAX
  return large ? `${path}?viewport=${SIDE_PX_MAX},${SIDE_PX_MAX}` : path
}

export const cachedPreview = pictures.get
export const forgetPreviews = pictures.forget

export async function fetchPreview(path: string, signal: AbortSignal): Promise<string> {
  const blob = await fetchBlob(path, 'image/jpeg', signal)
  return pictures.keep(path, blob)
}
