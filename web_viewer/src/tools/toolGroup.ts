import { utilities } from '@cornerstonejs/core'
import {
  addTool,
  annotation,
  Enums,
  LengthTool,
  PanTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from '@cornerstonejs/tools'
import { type Length, lengthBetween, type Point } from '../data/calibration'
import { renderingEngine } from '../render/cornerstone'
import { datasetOf, sourceOf } from '../render/frameLoader'

export const TOOLS = ['scroll', 'windowLevel', 'zoom', 'pan', 'length'] as const
export type ToolName = (typeof TOOLS)[number]

const GROUP = 'tongying'
const { MouseBindings } = Enums
/** `scroll` is not among them: it is done on the element, see scroll.ts. */
const CLASSES = { windowLevel: WindowLevelTool, zoom: ZoomTool, pan: PanTool, length: LengthTool }

const BASE: Partial<Record<ToolName, object[]>> = {
  zoom: [{ mouseButton: MouseBindings.Secondary }, { numTouchPoints: 2 }],
  pan: [{ mouseButton: MouseBindings.Auxiliary }],
}

export type LengthText = (length: Length) => string

interface LengthData {
  handles?: { points?: [number, number, number][] }
}

/** Measured by the tags, not by cornerstone's units, so that mm is only said where it is known. */
function textLines(write: LengthText) {
  return (data: LengthData, targetId: string): string[] | undefined => {
    const imageId = targetId.replace(/^imageId:/, '')
    const [from, to] = data.handles?.points ?? []
    const ref = sourceOf(imageId)?.ref
    if (!from || !to || !ref) return undefined
    const a = utilities.worldToImageCoords(imageId, from) as Point | undefined
    const b = utilities.worldToImageCoords(imageId, to) as Point | undefined
    if (!a || !b) return undefined
    return [write(lengthBetween(datasetOf(imageId), ref.frame, a, b))]
  }
}

let created = false

export function createTools(write: LengthText): void {
  if (!created) {
    renderingEngine()
    for (const tool of Object.values(CLASSES)) addTool(tool)
    const group = ToolGroupManager.createToolGroup(GROUP)
    group?.addTool(WindowLevelTool.toolName)
    group?.addTool(PanTool.toolName)
    group?.addTool(ZoomTool.toolName, { pinchToZoom: true, pan: true, zoomToCenter: true })
    group?.addTool(LengthTool.toolName)
    created = true
    style()
  }
  ToolGroupManager.getToolGroup(GROUP)?.setToolConfiguration(LengthTool.toolName, {
    getTextLines: textLines(write),
  })
}

function style(): void {
  const styles = annotation.config.style.getDefaultToolStyles()
  annotation.config.style.setDefaultToolStyles({
    ...styles,
    global: {
      ...styles.global,
      color: 'rgb(255, 214, 92)',
      colorHighlighted: 'rgb(255, 240, 180)',
      colorSelected: 'rgb(255, 214, 92)',
      lineWidth: '2',
      textBoxFontSize: '14px',
      textBoxColor: 'rgb(255, 214, 92)',
      textBoxColorSelected: 'rgb(255, 214, 92)',
      textBoxColorHighlighted: 'rgb(255, 240, 180)',
      textBoxBackground: 'rgba(0, 0, 0, 0.72)',
      textBoxLinkLineColor: 'rgb(255, 214, 92)',
    },
  })
}

export function addViewport(viewportId: string): void {
  ToolGroupManager.getToolGroup(GROUP)?.addViewport(viewportId, renderingEngine().id)
}

export function removeViewport(viewportId: string): void {
  ToolGroupManager.getToolGroup(GROUP)?.removeViewports(renderingEngine().id, viewportId)
}

/** Binds the left button and one finger; right zooms, middle pans, two fingers zoom and pan, always. */
export function activateTool(name: ToolName): void {
  const group = ToolGroupManager.getToolGroup(GROUP)
  if (!group) return
  for (const [tool, { toolName }] of Object.entries(CLASSES) as [ToolName, { toolName: string }][]) {
    const base = BASE[tool] ?? []
    const bindings = tool === name ? [{ mouseButton: MouseBindings.Primary }, ...base] : base
    group.setToolPassive(toolName, { removeAllBindings: true })
    if (bindings.length > 0) group.setToolActive(toolName, { bindings })
  }
}

export function clearMeasurements(): void {
  annotation.state.removeAllAnnotations()
  renderingEngine().render()
}
