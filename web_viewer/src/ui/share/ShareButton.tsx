import { lazy, type ReactElement, Suspense, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { mayShare } from '../../data/shareLinks'
import { useMe } from '../../data/studies'
import { Icon } from '../icons'

const ShareDialog = lazy(async () => ({ default: (await import('./ShareDialog')).ShareDialog }))

/** For who works at the hospital that owns the study. */
export function ShareButton({ manifest }: { manifest: Manifest }): ReactElement | null {
  const { t } = useTranslation()
  const me = useMe()
  const [open, setOpen] = useState(false)
  if (!mayShare(me.data, manifest.facility?.code)) return null
  return (
    <>
      <button
        type="button"
        className="tool"
        data-testid="share"
        title={t('share.shareHint')}
        onClick={() => setOpen(true)}
      >
        <Icon name="share" />
        <span>{t('share.share')}</span>
      </button>
      {open && (
        <Suspense>
          <ShareDialog study={manifest} onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  )
}
