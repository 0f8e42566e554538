import { type DragEvent, type ReactElement, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import type { Item } from '../../data/items'
import { watchSize } from '../../render/resize'
import { StackView } from '../../render/stackView'
import { EMPTY } from '../../render/viewState'
import { attachScroll } from '../../tools/scroll'
import { addViewport, removeViewport, type ToolName } from '../../tools/toolGroup'
import { CellStatus } from './CellStatus'
import { CineBar } from './CineBar'
import { DocumentPane } from './DocumentPane'
import { Overlay } from './Overlay'
import { DRAG_TYPE } from './Rail'
import { StackSlider } from './StackSlider'
import type { Placed } from './useWorkspace'

const nothing = (): (() => void) => () => {}
const empty = () => EMPTY

/** Makes the viewport of a cell and takes it down again. */
function useStackView(
  index: number,
  tool: ToolName,
  onRegister: (cell: number, view: StackView | null) => void,
) {
  const box = useRef<HTMLDivElement>(null)
  const [view, setView] = useState<StackView | null>(null)
  const latest = useRef({ tool, onRegister })
  latest.current = { tool, onRegister }
  useEffect(() => {
    const element = box.current
    if (!element) return
    const made = new StackView(`cell-${index}`, element)
    addViewport(made.id)
    const detach = attachScroll(made, () => latest.current.tool)
    const unwatch = watchSize(made)
    latest.current.onRegister(index, made)
    setView(made)
    return () => {
      unwatch()
      detach()
      latest.current.onRegister(index, null)
      removeViewport(made.id)
      made.dispose()
    }
  }, [index])
  return { box, view }
}

interface Props {
  index: number
  placed: Placed
  items: Item[]
  manifest: Manifest
  active: boolean
  alone: boolean
  tool: ToolName
  onActivate: (cell: number) => void
  onPlace: (item: Item, cell: number) => void
  onRegister: (cell: number, view: StackView | null) => void
}

export function Cell(props: Props): ReactElement {
  const { index, placed, items, manifest, active, alone, tool, onActivate, onPlace, onRegister } = props
  const { t } = useTranslation()
  const { box, view } = useStackView(index, tool, onRegister)
  const state = useSyncExternalStore(view?.state.subscribe ?? nothing, view?.state.get ?? empty)
  useEffect(() => {
    if (view && placed.item) view.open(placed.item, placed.openedAt)
  }, [view, placed])

  function drop(event: DragEvent): void {
    const key = event.dataTransfer.getData(DRAG_TYPE)
    const item = items.find(one => one.key === key)
    if (!item) return
    event.preventDefault()
    onPlace(item, index)
  }

  const { item } = placed
  // What is drawn belongs to the series of this cell, and to the image asked for, or is covered.
  const truthful = state.phase !== 'failed' && state.shown !== null && state.item === item
  const multiple = (item?.frames.length ?? 0) > 1 && item?.kind !== 'document'
  return (
    <section
      className="cell"
      data-active={active && !alone}
      aria-label={t('viewer.cell', { number: index + 1 })}
      onPointerDownCapture={() => !active && onActivate(index)}
      onDragOver={event => event.dataTransfer.types.includes(DRAG_TYPE) && event.preventDefault()}
      onDrop={drop}
    >
      <div className="canvas-area">
        <div ref={box} className="viewport" data-testid="viewport" data-tool={tool} data-hidden={!truthful} />
        {item?.kind === 'document' && <DocumentPane key={item.key} item={item} />}
        {!item && <p className="cell-message">{t('viewer.empty')}</p>}
        {view && item && item.kind !== 'document' && state.item === item && (
          <>
            <Overlay state={state} manifest={manifest} lite={view.lite.on} />
            <CellStatus state={state} onRetry={() => view.seek(state.target)} />
          </>
        )}
        {view && multiple && <StackSlider view={view} state={state} />}
      </div>
      {view && multiple && item && <CineBar view={view} state={state} prominent={item.kind === 'loop'} />}
    </section>
  )
}
