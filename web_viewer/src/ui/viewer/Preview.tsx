import { type ReactElement, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { FrameRef } from '../../data/items'
import { cachedPreview, fetchPreview, previewPath } from '../../data/previews'

interface Props {
  frame: FrameRef
  /** How long the pixels themselves may take before their preview is asked for. */
  afterMs: number
  /** It stands on the screen, or will not come. */
  onSettled?: () => void
}

/** The server's picture of exactly the image that is awaited, marked as no more than that. */
export function Preview({ frame, afterMs, onSettled }: Props): ReactElement | null {
  const { t } = useTranslation()
  const path = previewPath(frame)
  const [shown, setShown] = useState({ path, url: cachedPreview(path) })
  useEffect(() => {
    const known = cachedPreview(path)
    setShown({ path, url: known })
    if (known) return
    const abort = new AbortController()
    const timer = setTimeout(() => {
      fetchPreview(path, abort.signal)
        .then(url => !abort.signal.aborted && setShown({ path, url }))
        // Without a preview the reader waits for the image itself, which tells its own errors.
        .catch(() => !abort.signal.aborted && onSettled?.())
    }, afterMs)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [path, afterMs, onSettled])
  if (!shown.url || shown.path !== path) return null
  return (
    <div className="preview" data-testid="preview">
      <img src={shown.url} alt="" draggable={false} ref={timed} onLoad={() => afterPaint(onSettled)} />
      <span>{t('viewer.preview')}</span>
    </div>
  )
}

/** Lets the browser tell when it stood on the screen (Element Timing); React knows no such attribute. */
const timed = (image: HTMLImageElement | null): void => image?.setAttribute('elementtiming', 'preview')

/** A frame that begins after the next has been painted. */
function afterPaint(then?: () => void): void {
  if (then) requestAnimationFrame(() => requestAnimationFrame(then))
}
