import { type PointerEvent, type ReactElement, useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import type { StackView } from '../../render/stackView'
import type { ViewState } from '../../render/viewState'

/** Draws one line for each image that is there; read from the view, not from component state. */
function draw(canvas: HTMLCanvasElement, marks: Uint8Array): void {
  const height = Math.min(marks.length, 1024)
  canvas.width = 1
  canvas.height = height
  const context = canvas.getContext('2d')
  if (!context) return
  context.fillStyle = '#4fb8bd'
  for (let i = 0; i < marks.length; i++) {
    if (!marks[i]) continue
    const from = Math.floor((i * height) / marks.length)
    context.fillRect(0, from, 1, Math.max(1, Math.ceil(((i + 1) * height) / marks.length) - from))
  }
}

/** The scrollbar of a stack. */
export function StackSlider({ view, state }: { view: StackView; state: ViewState }): ReactElement {
  const { t } = useTranslation()
  const canvas = useRef<HTMLCanvasElement>(null)
  const track = useRef<HTMLDivElement>(null)
  const count = state.item?.frames.length ?? 0
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version says that the marks have changed
  useEffect(() => {
    if (canvas.current && view.marks) draw(canvas.current, view.marks)
  }, [view, state.loadedVersion, state.item])

  function seek(event: PointerEvent): void {
    const box = track.current?.getBoundingClientRect()
    if (!box || (event.type === 'pointermove' && (event.buttons & 1) === 0)) return
    const part = (event.clientY - box.top) / box.height
    const index = Math.min(Math.max(Math.floor(part * count), 0), count - 1)
    if (index !== state.target) view.seek(index)
  }

  return (
    <div
      ref={track}
      className="stack-slider"
      role="slider"
      tabIndex={0}
      data-testid="stack-slider"
      aria-orientation="vertical"
      aria-label={t('viewer.slider')}
      aria-valuemin={1}
      aria-valuemax={count}
      aria-valuenow={state.target + 1}
      title={t('viewer.loadedOf', { loaded: state.loaded, count })}
      onPointerDown={event => {
        event.currentTarget.setPointerCapture(event.pointerId)
        seek(event)
      }}
      onPointerMove={seek}
    >
      <canvas ref={canvas} className="stack-marks" />
      <span
        className="stack-thumb"
        style={{ top: `${((state.target + 0.5) / Math.max(count, 1)) * 100}%` }}
      />
    </div>
  )
}
