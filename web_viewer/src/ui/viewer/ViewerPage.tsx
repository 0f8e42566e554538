import { type ReactElement, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { itemsOf } from '../../data/items'
import { shownId } from '../../data/residents'
import { useManifest } from '../../data/studies'
import { createTools } from '../../tools/toolGroup'
import { describeError, errorDetail } from '../describe'
import { fixed, nameLines } from '../format'
import { Icon } from '../icons'
import { Loading } from '../Loading'
import { useTitle } from '../useTitle'
import { BackLink } from './BackLink'
import { Workspace } from './Workspace'
import '../styles/menu.css'
import '../styles/help.css'
import '../styles/document.css'

export { forgetImages } from '../../render/cornerstone'

function Failed({ error, onRetry }: { error: Error; onRetry: () => void }): ReactElement {
  const { t } = useTranslation()
  return (
    <div className="viewer">
      <header className="viewer-bar">
        <BackLink />
      </header>
      <section className="viewer-state" role="alert">
        <Icon name="warning" size={40} />
        <h1>{t('viewer.failedStudy')}</h1>
        <p>{describeError(error, t)}</p>
        <p className="detail">{errorDetail(error)}</p>
        <button type="button" className="button" onClick={onRetry}>
          {t('errors.retry')}
        </button>
      </section>
    </div>
  )
}

interface OpenedProps {
  manifest: Manifest
  chosen: string | null
  openedAt: number
}

function Opened({ manifest, chosen, openedAt }: OpenedProps): ReactElement {
  const { t } = useTranslation()
  const items = useMemo(() => itemsOf(manifest), [manifest])
  const { main, second } = nameLines(manifest)
  useTitle(main ?? second ?? shownId(manifest.patient_id) ?? '')
  // Before any cell is made: a viewport joins the tool group as it appears.
  useMemo(
    () =>
      createTools(({ value, unit, note }) => {
        const length = `${fixed(value, unit === 'mm' ? 1 : 0)} ${unit}`
        const remark = note ? t(`viewer.${note}`) : unit === 'px' ? t('viewer.noMm') : ''
        return remark ? `${length} (${remark})` : length
      }),
    [t],
  )
  return <Workspace manifest={manifest} items={items} chosen={chosen} openedAt={openedAt} />
}

interface Props {
  studyUid: string
  /** What the reader chose while this code was on its way. */
  chosen: string | null
}

export function ViewerPage({ studyUid, chosen }: Props): ReactElement {
  const { t } = useTranslation()
  const [openedAt] = useState(() => performance.now())
  const manifest = useManifest(studyUid)
  if (manifest.data) return <Opened manifest={manifest.data} chosen={chosen} openedAt={openedAt} />
  if (manifest.error) return <Failed error={manifest.error} onRetry={() => void manifest.refetch()} />
  return <Loading dark text={t('viewer.loadingStudy')} />
}
