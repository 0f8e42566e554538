import { useCanGoBack, useRouter } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { isOfLink } from '../../api/session'
import { Icon } from '../icons'

/** Back to the list as it was, with its filter; straight to it where the study was opened by a link. */
export function BackLink(): ReactElement {
  const { t } = useTranslation()
  const router = useRouter()
  const canGoBack = useCanGoBack()
  const ofLink = isOfLink()
  const words = t(ofLink ? 'share.mine' : 'viewer.back')
  function goBack(): void {
    if (ofLink) void router.navigate({ to: '/shared' })
    else if (canGoBack) router.history.back()
    else void router.navigate({ to: '/' })
  }
  return (
    <button type="button" className="tool back" data-testid="back" title={words} onClick={goBack}>
      <Icon name="back" />
      <span className="wide-only">{words}</span>
    </button>
  )
}
