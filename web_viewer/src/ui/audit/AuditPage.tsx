import { type ReactElement, useDeferredValue, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { AuditFilter } from '../../api/audit'
import { useAudit } from '../../data/audit'
import { ErrorState } from '../list/states'
import { PageBar } from '../PageBar'
import '../styles/audit.css'
import { AuditFilters } from './AuditFilters'
import { AuditTable } from './AuditTable'
import { ChainState } from './ChainState'
import { WhoLooked } from './WhoLooked'

const EVERYTHING: AuditFilter = { who: '', patient: '', action: '', outcome: '', from: '', to: '' }

/** Who looked, asked and changed, for auditors. */
export function AuditPage(): ReactElement {
  const { t } = useTranslation()
  const [filter, setFilter] = useState(EVERYTHING)
  const list = useAudit(useDeferredValue(filter))
  return (
    <div className="audit-page">
      <PageBar title={t('audit.title')}>
        <ChainState />
      </PageBar>
      <AuditFilters filter={filter} onChange={changes => setFilter(old => ({ ...old, ...changes }))} />
      <WhoLooked patient={filter.patient.trim()} />
      <main className="audit-main">
        {list.error && (
          <ErrorState error={list.error} onRetry={list.retry} inline={list.entries.length > 0} />
        )}
        <AuditTable entries={list.entries} />
        {!list.loading && !list.error && list.entries.length === 0 && (
          <p className="audit-none">{t('audit.none')}</p>
        )}
        {list.hasMore && (
          <button
            type="button"
            className="button audit-more"
            disabled={list.loadingMore}
            onClick={list.loadMore}
          >
            {t('audit.more')}
          </button>
        )}
      </main>
    </div>
  )
}
