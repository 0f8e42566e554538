import type { ReactElement, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Paged } from '../../data/paged'
import { ErrorState } from '../list/states'

interface Props {
  list: Paged
  isEmpty: boolean
  /** What is said where there is nothing. */
  none: string
  children: ReactNode
}

/** A list that is read page by page: what is there, how it stands, and the way to more of it. */
export function Listed({ list, isEmpty, none, children }: Props): ReactElement {
  const { t } = useTranslation()
  return (
    <>
      {list.error && <ErrorState error={list.error} onRetry={list.retry} inline={!isEmpty} />}
      {list.loading && <p className="admin-none">{t('admin.loading')}</p>}
      {!isEmpty && children}
      {!list.loading && !list.error && isEmpty && <p className="admin-none">{none}</p>}
      {list.hasMore && (
        <button type="button" className="button" disabled={list.loadingMore} onClick={list.loadMore}>
          {t('admin.more')}
        </button>
      )}
    </>
  )
}
