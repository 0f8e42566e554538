import { lazy, type ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { mayShare } from '../../data/shareLinks'
import { useMe } from '../../data/studies'
import { DialogTool } from '../viewer/DialogTool'

const ShareDialog = lazy(async () => ({ default: (await import('./ShareDialog')).ShareDialog }))

/** For who works at the hospital that owns the study. */
export function ShareButton({ manifest }: { manifest: Manifest }): ReactElement | null {
  const { t } = useTranslation()
  const me = useMe()
  if (!mayShare(me.data, manifest.facility?.code)) return null
  return (
    <DialogTool
      testId="share"
      icon="share"
      words={t('share.share')}
      hint={t('share.shareHint')}
      dialog={onClose => <ShareDialog study={manifest} onClose={onClose} />}
    />
  )
}
