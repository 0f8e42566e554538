import { type ReactElement, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { fetchBlob, instancePath } from '../../api/dicomweb'
import type { FrameRef } from '../../data/items'

/** Only where the pixels are slow: on a good line they are there before this is asked for. */
const AFTER_MS = 500
const SIDE_PX = 1024

/** The server's small picture of exactly the image that is awaited, marked as no more than that. */
export function Preview({ frame }: { frame: FrameRef }): ReactElement | null {
  const { t } = useTranslation()
  const { studyUid, seriesUid, sopUid } = frame
  const path = `${instancePath(studyUid, seriesUid, sopUid)}/frames/${frame.frame}/rendered?viewport=${SIDE_PX},${SIDE_PX}`
  const [url, setUrl] = useState<string | null>(null)
  useEffect(() => {
    const abort = new AbortController()
    let made = ''
    const timer = setTimeout(() => {
      fetchBlob(path, 'image/jpeg', abort.signal)
        .then(blob => {
          made = URL.createObjectURL(blob)
          setUrl(made)
        })
        // Without a preview the reader waits for the image itself, which tells its own errors.
        .catch(() => {})
    }, AFTER_MS)
    return () => {
      clearTimeout(timer)
      abort.abort()
      URL.revokeObjectURL(made)
      setUrl(null)
    }
  }, [path])
  if (!url) return null
  return (
    <div className="preview" data-testid="preview">
      <img src={url} alt="" draggable={false} />
      <span>{t('viewer.preview')}</span>
    </div>
  )
}
