import { CT_PRESETS, type Preset } from '../data/presets'
import type { ToolName } from './toolGroup'

export interface Commands {
  step: (delta: number) => void
  jump: (to: 'first' | 'last') => void
  tool: (name: ToolName) => void
  preset: (preset: Preset) => void
  reset: () => void
  invert: () => void
  play: () => void
  series: (delta: number) => void
  help: () => void
  clear: () => void
  escape: () => void
}

const PAGE = 10

/** Keys as the help lists them; letters work in either case. */
export function commandOf(key: string, commands: Commands): (() => void) | null {
  const preset = CT_PRESETS.find(one => one.key === key)
  if (preset) return () => commands.preset(preset)
  const table: Record<string, () => void> = {
    ArrowUp: () => commands.step(-1),
    ArrowLeft: () => commands.step(-1),
    ArrowDown: () => commands.step(1),
    ArrowRight: () => commands.step(1),
    PageUp: () => commands.step(-PAGE),
    PageDown: () => commands.step(PAGE),
    Home: () => commands.jump('first'),
    End: () => commands.jump('last'),
    s: () => commands.tool('scroll'),
    w: () => commands.tool('windowLevel'),
    z: () => commands.tool('zoom'),
    p: () => commands.tool('pan'),
    m: () => commands.tool('length'),
    l: () => commands.tool('length'),
    r: commands.reset,
    i: commands.invert,
    ' ': commands.play,
    '[': () => commands.series(-1),
    ']': () => commands.series(1),
    '?': commands.help,
    Delete: commands.clear,
    Escape: commands.escape,
  }
  return table[key.length === 1 ? key.toLowerCase() : key] ?? null
}

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.matches('input:not([type=range]), textarea, select') || target.isContentEditable)

/** A menu, a dialog, a field or a slider has its own use for the key; so has a focused button for Space. */
function busyElsewhere(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : null
  if (typing(event.target) || target?.closest('[role=menu], dialog')) return true
  return event.key === ' ' && Boolean(target?.closest('button, a, select'))
}

export function attachShortcuts(commands: () => Commands): () => void {
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || busyElsewhere(event)) return
    const command = commandOf(event.key, commands())
    if (!command) return
    event.preventDefault()
    command()
  }
  // After a click the keys belong to the picture again: Space must not press the tool once more. On the way down: a
  // dialog that the click opens gives the focus back to where it was.
  const onClick = (event: MouseEvent): void => {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>('button') : null
    if (event.detail > 0 && button === document.activeElement) button?.blur()
  }
  window.addEventListener('click', onClick, true)
  // On the way down: cornerstone keeps the keys of a focused viewport to itself.
  window.addEventListener('keydown', onKey, true)
  return () => {
    window.removeEventListener('click', onClick, true)
    window.removeEventListener('keydown', onKey, true)
  }
}
