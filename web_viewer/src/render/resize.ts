import { renderingEngine } from './cornerstone'
import type { StackView } from './stackView'

const views = new Set<StackView>()
let frame = 0

/** Fits every picture to its new box, keeping how far the reader has zoomed and moved it. */
function resizeAll(): void {
  const kept = [...views].map(view => {
    const { viewport } = view
    return { view, zoom: viewport.getZoom(), pan: viewport.getPan() }
  })
  renderingEngine().resize(true, false)
  for (const { view, zoom, pan } of kept) {
    const moved = zoom !== 1 || pan[0] !== 0 || pan[1] !== 0
    // Without WebGL zoom counts screen pixels, which the new size has changed: start from the fit again.
    if (view.lite.on) view.lite.fitted()
    if (view.state.get().shown === null || !moved || view.lite.on) continue
    view.viewport.setZoom(zoom)
    view.viewport.setPan(pan)
    view.viewport.render()
  }
}

/** Follows the size of a view's box; all views together, because they share one engine. */
export function watchSize(view: StackView): () => void {
  views.add(view)
  const observer = new ResizeObserver(() => {
    cancelAnimationFrame(frame)
    frame = requestAnimationFrame(resizeAll)
  })
  observer.observe(view.element)
  return () => {
    views.delete(view)
    observer.disconnect()
  }
}
