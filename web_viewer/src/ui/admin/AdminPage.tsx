import { Link, useSearch } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { ListedFacility } from '../../api/administration'
import { useFacilities } from '../../data/administration'
import { useMe } from '../../data/studies'
import { Loading } from '../Loading'
import { ErrorState } from '../list/states'
import { PageBar } from '../PageBar'
import '../styles/admin.css'
import '../styles/adminForms.css'
import { BinTab } from './BinTab'
import { DevicesTab } from './DevicesTab'
import { FacilitiesTab } from './FacilitiesTab'
import { TABS } from './tabs'
import { UsersTab } from './UsersTab'

/** Users, facilities, devices and the recycle bin, for the administrators of a facility or of the region. */
export function AdminPage(): ReactElement {
  const { t } = useTranslation()
  const me = useMe()
  const facilities = useFacilities()
  const error = facilities.error ?? me.error
  if (error)
    return (
      <div className="admin-page">
        <PageBar title={t('admin.title')} />
        <main>
          <ErrorState error={error} onRetry={() => void facilities.refetch()} inline />
        </main>
      </div>
    )
  if (!me.data || !facilities.data) return <Loading />
  return <Tabs own={me.data.facility} facilities={facilities.data} />
}

/** What each part of the page is told: the facility that one administers, null for the region, and those one sees. */
export interface Looking {
  own: string | null
  facilities: ListedFacility[]
}

function Tabs(looking: Looking): ReactElement {
  const { t } = useTranslation()
  const { tab = 'users' } = useSearch({ from: '/admin' })
  return (
    <div className="admin-page">
      <PageBar title={t('admin.title')} />
      <nav className="admin-tabs" aria-label={t('admin.title')}>
        {TABS.map(one => (
          <Link
            key={one}
            to="/admin"
            search={{ tab: one }}
            className="button quiet"
            aria-current={one === tab ? 'page' : undefined}
            data-testid={`tab-${one}`}
          >
            {t(`admin.tabs.${one}`)}
          </Link>
        ))}
      </nav>
      <main>
        {tab === 'users' && <UsersTab {...looking} />}
        {tab === 'facilities' && <FacilitiesTab {...looking} />}
        {tab === 'devices' && <DevicesTab {...looking} />}
        {tab === 'bin' && <BinTab {...looking} />}
      </main>
    </div>
  )
}
