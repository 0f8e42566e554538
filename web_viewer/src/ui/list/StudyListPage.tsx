import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useCallback, useEffect, useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { useStudyList } from '../../data/studies'
import { useTitle } from '../useTitle'
import { FilterBar } from './FilterBar'
import { filterOf, isNarrowed, type ListSearch, tidied } from './filter'
import { Header } from './Header'
import { StudyTable } from './StudyTable'
import { EmptyState, ErrorState, NothingMatches, Skeleton } from './states'

export function StudyListPage(): ReactElement {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const search = useSearch({ from: '/' })
  const filter = useMemo(() => filterOf(search), [search])
  const list = useStudyList(filter)

  const change = useCallback(
    (changes: Partial<ListSearch>) =>
      void navigate({ to: '/', search: old => tidied({ ...old, ...changes }), replace: true }),
    [navigate],
  )
  const clear = useCallback(() => void navigate({ to: '/', search: {}, replace: true }), [navigate])
  const open = useCallback(
    (studyUid: string) => void navigate({ to: '/study/$studyUid', params: { studyUid } }),
    [navigate],
  )

  useTitle(t('list.title'))
  useEffect(() => {
    // While the reader looks at the list, the viewer's code arrives.
    const later = setTimeout(() => void import('../viewer/ViewerPage'), 1500)
    return () => clearTimeout(later)
  }, [])

  const { studies } = list
  return (
    <div className="list-page">
      <Header searched={search.q ?? ''} />
      <FilterBar search={search} onChange={change} count={studies.length} hasMore={list.hasMore} />
      <main className="list-main">
        <h1 className="visually-hidden">{t('list.title')}</h1>
        {list.error && <ErrorState error={list.error} onRetry={list.retry} inline={studies.length > 0} />}
        {list.loading && <Skeleton />}
        {studies.length > 0 && <StudyTable list={list} onOpen={open} />}
        {!list.loading &&
          !list.error &&
          studies.length === 0 &&
          (isNarrowed(search) ? <NothingMatches onClear={clear} /> : <EmptyState />)}
      </main>
    </div>
  )
}
