import { type ReactElement, useEffect, useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { itemsOf, itemToOpen } from '../../data/items'
import { useManifest } from '../../data/studies'
import { LanguageSwitch } from '../LanguageSwitch'
import { Loading } from '../Loading'
import { BackLink } from './BackLink'
import { PatientLine } from './PatientLine'
import { Preview } from './Preview'
import { Rail } from './Rail'
import '../styles/viewer.css'
import '../styles/rail.css'
import '../styles/viewport.css'
import '../styles/cellStatus.css'
import '../styles/cine.css'
import '../styles/viewerPhone.css'

interface Props {
  studyUid: string
  chosen: string | null
  onChoose: (key: string) => void
  /** All that can be shown before the viewer is shown: its code may take the processor now. */
  onSettled: () => void
}

/**
 * The viewer before its code is there, in the same places: who it is, the series, and the server's picture of the
 * image that the viewer will open with. A series may be chosen already; the viewer then begins with it.
 */
export function Opening({ studyUid, ...choice }: Props): ReactElement {
  const manifest = useManifest(studyUid)
  const { onSettled } = choice
  useEffect(() => {
    if (manifest.error) onSettled()
  }, [manifest.error, onSettled])
  if (!manifest.data) return <Loading dark />
  return <Frame manifest={manifest.data} {...choice} />
}

type FrameProps = Omit<Props, 'studyUid'> & { manifest: Manifest }

function Frame({ manifest, chosen, onChoose, onSettled }: FrameProps): ReactElement {
  const { t } = useTranslation()
  const items = useMemo(() => itemsOf(manifest), [manifest])
  const item = itemToOpen(items, chosen)
  const first = item && item.kind !== 'document' ? item.frames[0] : undefined
  useEffect(() => {
    if (!first) onSettled()
  }, [first, onSettled])
  return (
    <div className="viewer" data-testid="opening">
      <header className="viewer-bar">
        <BackLink />
        <PatientLine manifest={manifest} />
        <div className="tools awaited" />
        <LanguageSwitch />
      </header>
      <div className="viewer-body">
        <Rail items={items} chosen={item} onChoose={one => onChoose(one.key)} />
        <main className="stage stage-one">
          <section className="cell">
            <div className="canvas-area">
              {first && <Preview frame={first} afterMs={0} onSettled={onSettled} />}
              <div className="cell-loading" role="status">
                <span className="spinner small" />
                {t('viewer.loadingStudy')}
              </div>
            </div>
            {item && first && item.frames.length > 1 && <div className="cine awaited" />}
          </section>
        </main>
      </div>
    </div>
  )
}
