import { lazy, type ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { mayReject } from '../../data/rejections'
import { useMe } from '../../data/studies'
import { DialogTool } from '../viewer/DialogTool'

const RejectDialog = lazy(async () => ({ default: (await import('./RejectDialog')).RejectDialog }))

/** For who administers the hospital that owns the study. */
export function RejectButton({ manifest }: { manifest: Manifest }): ReactElement | null {
  const { t } = useTranslation()
  const me = useMe()
  if (!mayReject(me.data, manifest.facility?.code)) return null
  return (
    <DialogTool
      testId="reject"
      icon="reject"
      words={t('reject.reject')}
      hint={t('reject.hint')}
      dialog={onClose => <RejectDialog study={manifest} onClose={onClose} />}
    />
  )
}
