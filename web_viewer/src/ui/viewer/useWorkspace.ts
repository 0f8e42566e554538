import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { type Item, itemToOpen } from '../../data/items'
import { type Preset, toVoi } from '../../data/presets'
import { exposeProbe } from '../../render/probe'
import type { StackView } from '../../render/stackView'
import { attachShortcuts, type Commands } from '../../tools/shortcuts'
import { activateTool, clearMeasurements, type ToolName } from '../../tools/toolGroup'

export const LAYOUTS = { one: 1, two: 2, four: 4 } as const
export type Layout = keyof typeof LAYOUTS

/** What an item was put into a cell with: the time makes opening it again a new act. */
export interface Placed {
  item: Item | null
  openedAt: number
}

export interface Workspace {
  cells: Placed[]
  active: number
  layout: Layout
  tool: ToolName
  helpOpen: boolean
  views: React.RefObject<(StackView | null)[]>
  activate: (cell: number) => void
  place: (item: Item, cell?: number) => void
  setLayout: (layout: Layout) => void
  setTool: (tool: ToolName) => void
  setHelp: (open: boolean) => void
  register: (cell: number, view: StackView | null) => void
  commands: Commands
}

const isCoarse = (): boolean => matchMedia('(pointer: coarse)').matches

export function useWorkspace(items: Item[], chosen: string | null, openedAt: number): Workspace {
  const [cells, setCells] = useState<Placed[]>(() => [{ item: itemToOpen(items, chosen), openedAt }])
  const [active, setActive] = useState(0)
  const [layout, setLayoutName] = useState<Layout>('one')
  // One finger scrolls; a mouse has its wheel for that.
  const [tool, setToolName] = useState<ToolName>(() => (isCoarse() ? 'scroll' : 'windowLevel'))
  const [helpOpen, setHelp] = useState(false)
  const views = useRef<(StackView | null)[]>([])

  const place = useCallback(
    (item: Item, cell = active) => {
      setCells(old => {
        if (old[cell]?.item === item) return old
        return old.map((placed, index) => (index === cell ? { item, openedAt: performance.now() } : placed))
      })
      setActive(cell)
    },
    [active],
  )

  const setLayout = useCallback(
    (next: Layout) => {
      setLayoutName(next)
      setCells(old => {
        const count = LAYOUTS[next]
        const kept = count === 1 ? [old[active] ?? old[0]] : old.slice(0, count)
        const shown = new Set(kept.map(placed => placed?.item?.key))
        const others = items.filter(item => !shown.has(item.key) && item.kind !== 'document')
        return Array.from({ length: count }, (_, index) => {
          return kept[index] ?? { item: others[index - kept.length] ?? null, openedAt: performance.now() }
        })
      })
      setActive(old => (LAYOUTS[next] === 1 ? 0 : Math.min(old, LAYOUTS[next] - 1)))
    },
    [active, items],
  )

  const register = useCallback(
    (cell: number, view: StackView | null) => {
      views.current[cell] = view
      activateTool(tool)
    },
    [tool],
  )

  useEffect(() => activateTool(tool), [tool])
  useEffect(() => exposeProbe(() => views.current[active] ?? null), [active])

  const commands = useMemo<Commands>(() => {
    const view = () => views.current[active] ?? null
    const isCt = () => view()?.state.get().item?.series.modality === 'CT'
    return {
      step: delta => view()?.step(delta),
      jump: to => view()?.seek(to === 'first' ? 0 : (view()?.state.get().item?.frames.length ?? 1) - 1),
      tool: setToolName,
      preset: (preset: Preset) => isCt() && view()?.setVoi(toVoi(preset.center, preset.width)),
      reset: () => view()?.reset(),
      invert: () => view()?.invert(),
      play: () => view()?.toggle(),
      series: delta => {
        const at = items.findIndex(item => item.key === cells[active]?.item?.key)
        const next = items[at + delta]
        if (next) place(next)
      },
      help: () => setHelp(true),
      clear: clearMeasurements,
      escape: () => setHelp(false),
    }
  }, [active, cells, items, place])

  const latest = useRef(commands)
  latest.current = commands
  useEffect(() => attachShortcuts(() => latest.current), [])

  return {
    cells,
    active,
    layout,
    tool,
    helpOpen,
    views,
    activate: setActive,
    place,
    setLayout,
    setTool: setToolName,
    setHelp,
    register,
    commands,
  }
}
