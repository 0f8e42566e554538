import { useCanGoBack, useRouter } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { Icon } from '../icons'

/** Back to the list as it was, with its filter; straight to it where the study was opened by a link. */
export function BackLink(): ReactElement {
  const { t } = useTranslation()
  const router = useRouter()
  const canGoBack = useCanGoBack()
  return (
    <button
      type="button"
      className="tool back"
      data-testid="back"
      title={t('viewer.back')}
      onClick={() => (canGoBack ? router.history.back() : void router.navigate({ to: '/' }))}
    >
      <Icon name="back" />
      <span className="wide-only">{t('viewer.back')}</span>
    </button>
  )
}
