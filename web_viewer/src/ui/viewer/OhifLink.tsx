import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { useViewers } from '../../data/studies'
import { Icon } from '../icons'

/** To the same study in OHIF, where that is installed. In this tab: the token is this tab's alone. */
export function OhifLink({ studyUid }: { studyUid: string }): ReactElement | null {
  const { t } = useTranslation()
  const viewers = useViewers()
  if (!viewers.data?.ohif) return null
  return (
    <a
      className="tool"
      data-testid="open-ohif"
      href={`/ohif/viewer?StudyInstanceUIDs=${encodeURIComponent(studyUid)}`}
      title={t('tools.ohifHint')}
    >
      <Icon name="elsewhere" />
      <span>OHIF</span>
    </a>
  )
}
