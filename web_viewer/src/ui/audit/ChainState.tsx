import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { useAuditState } from '../../data/audit'

/** Whether the last entries hold each other: nothing was changed, taken out or cut off. */
export function ChainState(): ReactElement | null {
  const { t } = useTranslation()
  const state = useAuditState()
  if (!state) return null
  const words = state.sound
    ? t('audit.sound', { first: state.first, last: state.last })
    : t('audit.broken', { count: state.findings.length })
  return (
    <p
      className={state.sound ? 'chain sound' : 'chain broken'}
      role={state.sound ? 'status' : 'alert'}
      data-testid="chain"
      title={state.sound ? t('audit.anchored', { position: state.anchored }) : state.findings.join('\n')}
    >
      {words}
    </p>
  )
}
