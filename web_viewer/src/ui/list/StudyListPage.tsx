import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactElement, useCallback, useEffect, useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { readsAudit } from '../../data/audit'
import { useMe, useStudyList } from '../../data/studies'
import { Icon, Logo } from '../icons'
import { LanguageSwitch } from '../LanguageSwitch'
import { signOut } from '../signOut'
import { FilterBar } from './FilterBar'
import { filterOf, isNarrowed, type ListSearch, tidied } from './filter'
import { StudyTable } from './StudyTable'
import { EmptyState, ErrorState, NothingMatches, Skeleton } from './states'

function Header(): ReactElement {
  const { t } = useTranslation()
  const me = useMe()
  return (
    <header className="bar">
      <Logo size={30} />
      <p className="brand">
        通影 <span>Tongying</span>
      </p>
      <span className="grow" />
      {readsAudit(me.data?.role) && (
        <Link to="/audit" className="button quiet" data-testid="to-audit">
          <Icon name="document" size={18} />
          <span className="wide-only">{t('audit.title')}</span>
        </Link>
      )}
      <LanguageSwitch />
      <span className="who">{me.data?.display_name ?? me.data?.user}</span>
      <button type="button" className="button quiet" onClick={signOut} title={t('signIn.signOut')}>
        <Icon name="leave" size={18} />
        <span className="wide-only">{t('signIn.signOut')}</span>
      </button>
    </header>
  )
}

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

  useEffect(() => {
    document.title = `${t('list.title')} · 通影 Tongying`
    // While the reader looks at the list, the viewer's code arrives.
    const later = setTimeout(() => void import('../viewer/ViewerPage'), 1500)
    return () => clearTimeout(later)
  }, [t])

  const { studies } = list
  return (
    <div className="list-page">
      <Header />
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
