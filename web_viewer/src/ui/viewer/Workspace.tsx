import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import type { Item } from '../../data/items'
import { BackLink } from './BackLink'
import { Cell } from './Cell'
import { HelpDialog } from './HelpDialog'
import { PatientLine } from './PatientLine'
import { Rail } from './Rail'
import { Toolbar } from './Toolbar'
import { useWorkspace } from './useWorkspace'

interface Props {
  manifest: Manifest
  items: Item[]
  /** The key of the item to begin with, where the reader chose one already. */
  chosen: string | null
  openedAt: number
}

export function Workspace({ manifest, items, chosen, openedAt }: Props): ReactElement {
  const { t } = useTranslation()
  const space = useWorkspace(items, chosen, openedAt)
  const activeItem = space.cells[space.active]?.item ?? null
  return (
    <div className="viewer">
      <header className="viewer-bar">
        <BackLink />
        <PatientLine manifest={manifest} />
        <Toolbar
          manifest={manifest}
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
