import { type ReactElement, useEffect, useRef, useState } from 'react'
import { cachedThumbnail, thumbnail } from '../data/thumbnails'

/** A small picture, fetched when it comes into view. `label` stands in where there is none. */
export function Thumbnail({ path, label }: { path: string | null; label: string }): ReactElement {
  const box = useRef<HTMLSpanElement>(null)
  const [url, setUrl] = useState(() => (path ? cachedThumbnail(path) : null))

  useEffect(() => {
    const element = box.current
    if (!element || !path || url) return
    let visible = false
    let gone = false
    const load = (): void => {
      thumbnail(path, () => visible && !gone)
        .then(found => !gone && found && setUrl(found))
        .catch(() => {})
    }
    const observer = new IntersectionObserver(entries => {
      visible = entries.some(entry => entry.isIntersecting)
      if (visible) load()
    })
    observer.observe(element)
    return () => {
      gone = true
      observer.disconnect()
    }
  }, [path, url])

  return (
    <span ref={box} className="thumbnail">
      {url ? <img src={url} alt="" draggable={false} onError={() => setUrl(null)} /> : <span>{label}</span>}
    </span>
  )
}
