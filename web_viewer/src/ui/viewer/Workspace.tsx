import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import type { Item } from '../../data/items'
import { ageText, nameLines, sexText } from '../format'
import { BackLink } from './BackLink'
import { Cell } from './Cell'
import { HelpDialog } from './HelpDialog'
import { Rail } from './Rail'
import { Toolbar } from './Toolbar'
import { useWorkspace } from './useWorkspace'

function PatientLine({ manifest }: { manifest: Manifest }): ReactElement {
  const { t } = useTranslation()
  const { main, second } = nameLines(manifest)
  const facts = [
    second,
    manifest.patient_id,
    sexText(manifest.sex, t),
    ageText(manifest.birth_date, manifest.study_date, t),
    manifest.study_date,
  ].filter(Boolean)
  return (
    <div className="patient-line">
      <b>{main ?? t('list.noName')}</b>
      <span>{facts.join(' · ')}</span>
    </div>
  )
}

interface Props {
  manifest: Manifest
  items: Item[]
  openedAt: number
}

export function Workspace({ manifest, items, openedAt }: Props): ReactElement {
  const { t } = useTranslation()
  const space = useWorkspace(items, openedAt)
  const activeItem = space.cells[space.active]?.item ?? null
  return (
    <div className="viewer">
      <header className="viewer-bar">
        <BackLink />
        <PatientLine manifest={manifest} />
        <Toolbar
          space={space}
          isCt={activeItem?.series.modality === 'CT'}
          hasPicture={activeItem?.kind !== 'document'}
        />
      </header>
      <div className="viewer-body">
        <Rail items={items} chosen={activeItem} onChoose={item => space.place(item)} />
        <main className={`stage stage-${space.layout}`}>
          {items.length === 0 && <p className="viewer-state">{t('viewer.noSeries')}</p>}
          {space.cells.map((placed, index) => (
            <Cell
              // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place; its series changes within it
              key={index}
              index={index}
              placed={placed}
              items={items}
              manifest={manifest}
              active={index === space.active}
              alone={space.cells.length === 1}
              tool={space.tool}
              onActivate={space.activate}
              onPlace={space.place}
              onRegister={space.register}
            />
          ))}
        </main>
      </div>
      {space.helpOpen && <HelpDialog onClose={() => space.setHelp(false)} />}
    </div>
  )
}
