import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { describeError, errorDetail } from '../describe'
import { Icon } from '../icons'

const DICOM = { title: 'TONGYING', port: '11112' }

export function Skeleton(): ReactElement {
  const { t } = useTranslation()
  return (
    <div className="skeleton" role="status" aria-label={t('list.loading')}>
      {Array.from({ length: 9 }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike
        <div key={row} className="skeleton-row" style={{ opacity: 1 - row * 0.1 }} />
      ))}
    </div>
  )
}

/** How the first study comes here. */
export function EmptyState(): ReactElement {
  const { t } = useTranslation()
  const host = location.hostname
  return (
    <section className="state">
      <Icon name="inbox" size={44} />
      <h2>{t('list.emptyTitle')}</h2>
      <p>{t('list.emptyText')}</p>
      <dl className="how">
        <div>
          <dt>{t('list.aeTitle')}</dt>
          <dd>{DICOM.title}</dd>
        </div>
        <div>
          <dt>{t('list.host')}</dt>
          <dd>{host}</dd>
        </div>
        <div>
          <dt>{t('list.port')}</dt>
          <dd>{DICOM.port}</dd>
        </div>
      </dl>
      <code>
        storescu -aec {DICOM.title} {host} {DICOM.port} *.dcm
      </code>
    </section>
  )
}

export function NothingMatches({ onClear }: { onClear: () => void }): ReactElement {
  const { t } = useTranslation()
  return (
    <section className="state">
      <Icon name="search" size={44} />
      <h2>{t('list.noneTitle')}</h2>
      <p>{t('list.noneText')}</p>
      <button type="button" className="button" onClick={onClear}>
        {t('list.clearFilters')}
      </button>
    </section>
  )
}

interface ErrorProps {
  error: Error
  onRetry: () => void
  /** Above a list that is still there, instead of in its place. */
  inline: boolean
}

export function ErrorState({ error, onRetry, inline }: ErrorProps): ReactElement {
  const { t } = useTranslation()
  return (
    <section className={inline ? 'notice' : 'state'} role="alert">
      <Icon name="warning" size={inline ? 20 : 44} />
      {!inline && <h2>{t('list.failed')}</h2>}
      <p>{describeError(error, t)}</p>
      {!inline && <p className="detail">{errorDetail(error)}</p>}
      <button type="button" className="button" onClick={onRetry}>
        {t('errors.retry')}
      </button>
    </section>
  )
}
