import { lazy, type ReactElement, Suspense, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { mayReject } from '../../data/rejections'
import { useMe } from '../../data/studies'
import { Icon } from '../icons'

const RejectDialog = lazy(async () => ({ default: (await import('./RejectDialog')).RejectDialog }))

/** For who administers the hospital that owns the study. */
export function RejectButton({ manifest }: { manifest: Manifest }): ReactElement | null {
  const { t } = useTranslation()
  const me = useMe()
  const [open, setOpen] = useState(false)
  if (!mayReject(me.data, manifest.facility?.code)) return null
  return (
    <>
      <button
        type="button"
        className="tool"
        data-testid="reject"
        title={t('reject.hint')}
        onClick={() => setOpen(true)}
      >
        <Icon name="reject" />
        <span>{t('reject.reject')}</span>
      </button>
      {open && (
        <Suspense>
          <RejectDialog study={manifest} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  )
}
