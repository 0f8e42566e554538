import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { isOfLink } from '../../api/session'
import type { Manifest } from '../../api/types'
import { TOOLS, type ToolName } from '../../tools/toolGroup'
import { Icon, type IconName } from '../icons'
import { LanguageSwitch } from '../LanguageSwitch'
import { RejectButton } from '../reject/RejectButton'
import { ShareButton } from '../share/ShareButton'
import { OhifLink } from './OhifLink'
import { PresetMenu } from './PresetMenu'
import { LAYOUTS, type Layout, type Workspace } from './useWorkspace'

const KEYS: Record<ToolName, string> = { scroll: 'S', windowLevel: 'W', zoom: 'Z', pan: 'P', length: 'L' }
const LAYOUT_ICONS: Record<Layout, IconName> = { one: 'layoutOne', two: 'layoutTwo', four: 'layoutFour' }

interface ActionProps {
  name: 'reset' | 'invert' | 'clear' | 'help'
  shortcut: string
  onClick: () => void
  disabled?: boolean
}

function Action({ name, shortcut, onClick, disabled = false }: ActionProps): ReactElement {
  const { t } = useTranslation()
  return (
    <button
      type="button"
      className="tool"
      data-testid={`tool-${name}`}
      title={`${t(`tools.${name}Hint`)} (${shortcut})`}
      onClick={onClick}
      disabled={disabled}
    >
      <Icon name={name} />
      <span>{t(`tools.${name}`)}</span>
    </button>
  )
}

/** Ways out of the viewer that holders of a share link have not. */
function ForStaff({ manifest }: { manifest: Manifest }): ReactElement {
  return (
    <>
      <ShareButton manifest={manifest} />
      <RejectButton manifest={manifest} />
      <OhifLink studyUid={manifest.study_uid} />
    </>
  )
}

interface Props {
  manifest: Manifest
  space: Workspace
  isCt: boolean
  hasPicture: boolean
}

export function Toolbar({ manifest, space, isCt, hasPicture }: Props): ReactElement {
  const { t } = useTranslation()
  const { commands } = space
  return (
    <>
      <div className="tools" role="toolbar" aria-label={t('help.left')}>
        {TOOLS.map(name => (
          <button
            key={name}
            type="button"
            className="tool"
            data-testid={`tool-${name}`}
            aria-pressed={space.tool === name}
            title={`${t(`tools.${name}Hint`)} (${KEYS[name]})`}
            onClick={() => space.setTool(name)}
          >
            <Icon name={name} />
            <span>{t(`tools.${name}`)}</span>
          </button>
        ))}
        <span className="divider" />
        <PresetMenu disabled={!isCt} onChoose={commands.preset} />
        <Action name="invert" shortcut="I" onClick={commands.invert} disabled={!hasPicture} />
        <Action name="reset" shortcut="R" onClick={commands.reset} disabled={!hasPicture} />
        <Action name="clear" shortcut="Delete" onClick={commands.clear} disabled={!hasPicture} />
        <span className="divider" />
        <fieldset className="layouts">
          <legend className="visually-hidden">{t('viewer.layout')}</legend>
          {(Object.keys(LAYOUTS) as Layout[]).map(name => (
            <button
              key={name}
              type="button"
              className="tool small"
              data-testid={`layout-${name}`}
              aria-pressed={space.layout === name}
              title={t(`viewer.layouts.${name}`)}
              onClick={() => space.setLayout(name)}
            >
              <Icon name={LAYOUT_ICONS[name]} />
            </button>
          ))}
        </fieldset>
        <span className="divider" />
        {!isOfLink() && <ForStaff manifest={manifest} />}
        <Action name="help" shortcut="?" onClick={commands.help} />
      </div>
      <LanguageSwitch />
    </>
  )
}
