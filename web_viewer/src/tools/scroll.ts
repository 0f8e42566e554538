import type { StackView } from '../render/stackView'
import type { ToolName } from './toolGroup'

/** A notch of a mouse wheel is about 100 px; a touchpad sends many small ones. */
const WHEEL_STEP_PX = 50
const DRAG_STEP_PX = { min: 3, max: 18 }

/** A whole stack takes about one height of the picture. */
const dragStep = (element: HTMLElement, count: number): number =>
  Math.min(Math.max(element.clientHeight / Math.max(count, 1), DRAG_STEP_PX.min), DRAG_STEP_PX.max)

function wheel(view: StackView): (event: WheelEvent) => void {
  let rest = 0
  return event => {
    event.preventDefault()
    if (event.ctrlKey) {
      view.zoomBy(Math.exp(-event.deltaY / 200))
      return
    }
    const delta = event.deltaMode === 0 ? event.deltaY : event.deltaY * WHEEL_STEP_PX
    rest = Math.sign(rest) === Math.sign(delta) ? rest + delta : delta
    const steps = Math.trunc(rest / WHEEL_STEP_PX)
    if (steps === 0) return
    rest -= steps * WHEEL_STEP_PX
    // One notch is one image, however far the system makes it go.
    view.step(Math.abs(delta) >= WHEEL_STEP_PX ? Math.sign(steps) : steps)
  }
}

/** Wheel always scrolls; dragging does when `scroll` is the tool. Returns what undoes it. */
export function attachScroll(view: StackView, tool: () => ToolName): () => void {
  const { element } = view
  const touching = new Set<number>()
  let last = 0
  const onWheel = wheel(view)
  const onDown = (event: PointerEvent): void => {
    touching.add(event.pointerId)
    last = event.clientY
  }
  const onUp = (event: PointerEvent): void => {
    touching.delete(event.pointerId)
  }
  const onMove = (event: PointerEvent): void => {
    if (tool() !== 'scroll' || touching.size !== 1 || (event.buttons & 1) === 0) return
    const size = dragStep(element, view.state.get().item?.frames.length ?? 1)
    const steps = Math.trunc((event.clientY - last) / size)
    if (steps === 0) return
    last += steps * size
    view.step(steps)
  }
  const onMenu = (event: Event): void => event.preventDefault()
  element.addEventListener('wheel', onWheel, { passive: false })
  element.addEventListener('pointerdown', onDown)
  element.addEventListener('contextmenu', onMenu)
  window.addEventListener('pointermove', onMove)
  window.addEventListener('pointerup', onUp)
  window.addEventListener('pointercancel', onUp)
  return () => {
    element.removeEventListener('wheel', onWheel)
    element.removeEventListener('pointerdown', onDown)
    element.removeEventListener('contextmenu', onMenu)
    window.removeEventListener('pointermove', onMove)
    window.removeEventListener('pointerup', onUp)
    window.removeEventListener('pointercancel', onUp)
  }
}
