import { type ReactElement, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { CT_PRESETS, type Preset } from '../../data/presets'
import { Icon } from '../icons'

interface Props {
  disabled: boolean
  onChoose: (preset: Preset) => void
}

export function PresetMenu({ disabled, onChoose }: Props): ReactElement {
  const { t } = useTranslation()
  const [place, setPlace] = useState<{ top: number; left: number } | null>(null)
  const button = useRef<HTMLButtonElement>(null)
  const menu = useRef<HTMLDivElement>(null)

  function toggle(): void {
    const box = button.current?.getBoundingClientRect()
    // Fixed to the window: the toolbar scrolls sideways on a phone and would cut the menu off.
    setPlace(old =>
      old || !box ? null : { top: box.bottom + 6, left: Math.min(box.left, innerWidth - 240) },
    )
  }

  useEffect(() => {
    if (!place) return
    menu.current?.querySelector('button')?.focus()
    const onPointer = (event: PointerEvent): void => {
      const target = event.target as Node
      if (!menu.current?.contains(target) && !button.current?.contains(target)) setPlace(null)
    }
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') {
        setPlace(null)
        button.current?.focus()
      }
      if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
      event.preventDefault()
      const entries = [...(menu.current?.querySelectorAll('button') ?? [])]
      const at = entries.indexOf(document.activeElement as HTMLButtonElement)
      entries[(at + (event.key === 'ArrowDown' ? 1 : -1) + entries.length) % entries.length]?.focus()
    }
    window.addEventListener('pointerdown', onPointer)
    window.addEventListener('keydown', onKey, true)
    return () => {
      window.removeEventListener('pointerdown', onPointer)
      window.removeEventListener('keydown', onKey, true)
    }
  }, [place])

  return (
    <>
      <button
        ref={button}
        type="button"
        className="tool"
        data-testid="tool-presets"
        aria-haspopup="menu"
        aria-expanded={place !== null}
        title={`${t('tools.presetsHint')} (1–${CT_PRESETS.length})`}
        disabled={disabled}
        onClick={toggle}
      >
        <Icon name="presets" />
        <span>{t('tools.presets')}</span>
      </button>
      {place && !disabled && (
        <div ref={menu} role="menu" className="menu" style={place}>
          {CT_PRESETS.map(preset => (
            <button
              key={preset.name}
              type="button"
              role="menuitem"
              data-testid={`preset-${preset.name}`}
              onClick={() => {
                onChoose(preset)
                setPlace(null)
              }}
            >
              <span>{t(`presets.${preset.name}`)}</span>
              <small>
                {preset.width} / {preset.center}
              </small>
              <kbd>{preset.key}</kbd>
            </button>
          ))}
        </div>
      )}
    </>
  )
}
