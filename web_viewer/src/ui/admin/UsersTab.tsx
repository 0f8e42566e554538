import { type ReactElement, useDeferredValue, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Account } from '../../api/administration'
import { barOf, useAccounts } from '../../data/administration'
import { facilityName } from '../format'
import { momentText, timeText } from '../share/moments'
import type { Looking } from './AdminPage'
import { FacilityFilter } from './FacilityChoice'
import { Badge, Head } from './fields'
import { Listed } from './Listed'
import { NewUser } from './NewUser'
import { UserDialog } from './UserDialog'

const COLUMNS = ['who', 'role', 'place', 'last', 'factor', 'state'] as const
const NEW = Symbol('new')

export function UsersTab({ own, facilities }: Looking): ReactElement {
  const { t } = useTranslation()
  const [facility, setFacility] = useState('')
  const [words, setWords] = useState('')
  const [open, setOpen] = useState<string | typeof NEW | null>(null)
  const list = useAccounts(facility, useDeferredValue(words))
  const shown = list.accounts.find(one => one.name === open)
  const close = (): void => setOpen(null)
  return (
    <>
      <search className="admin-tools">
        <input
          type="search"
          className="field"
          data-testid="user-search"
          aria-label={t('admin.users.search')}
          placeholder={t('admin.users.search')}
          value={words}
          maxLength={200}
          spellCheck={false}
          autoComplete="off"
          onChange={event => setWords(event.target.value)}
        />
        {own === null && <FacilityFilter facilities={facilities} value={facility} onChange={setFacility} />}
        <span className="grow" />
        <button type="button" className="button primary" data-testid="add-user" onClick={() => setOpen(NEW)}>
          {t('admin.users.add')}
        </button>
      </search>
      <Listed list={list} isEmpty={list.accounts.length === 0} none={t('admin.users.none')}>
        <Table accounts={list.accounts} facilities={facilities} onOpen={setOpen} />
      </Listed>
      {open === NEW && <NewUser own={own} facilities={facilities} chosen={facility} onClose={close} />}
      {shown && <UserDialog account={shown} own={own} facilities={facilities} onClose={close} />}
    </>
  )
}

interface TableProps {
  accounts: Account[]
  facilities: Looking['facilities']
  onOpen: (name: string) => void
}

function Table({ accounts, facilities, onOpen }: TableProps): ReactElement {
  const { t } = useTranslation()
  return (
    <table className="admin-table">
      <Head words={COLUMNS.map(name => t(`admin.users.${name}`))} />
      <tbody>
        {accounts.map(one => (
          <Row key={one.name} account={one} facilities={facilities} onOpen={() => onOpen(one.name)} />
        ))}
      </tbody>
    </table>
  )
}

interface RowProps {
  account: Account
  facilities: Looking['facilities']
  onOpen: () => void
}

function Row({ account, facilities, onOpen }: RowProps): ReactElement {
  const { t, i18n } = useTranslation()
  const facility = facilities.find(one => one.code === account.facility) ?? null
  const place = account.facility ? (facilityName(facility, i18n.language) ?? account.facility) : null
  return (
    <tr data-testid="user-row" data-name={account.name} className={account.active ? '' : 'off'}>
      <td className="first">
        <b>{account.display_name || account.name}</b>
        <small>{account.name}</small>
      </td>
      <td data-label={t('admin.users.role')}>{t(`admin.roles.${account.role}`)}</td>
      <td data-label={t('admin.users.place')}>
        {place ?? <i>{t('admin.region')}</i>}
        {account.department && <small>{account.department}</small>}
      </td>
      <td data-label={t('admin.users.last')} title={account.last_sign_in ? '' : t('admin.users.neverText')}>
        {account.last_sign_in ? momentText(account.last_sign_in, i18n.language) : t('admin.users.never')}
      </td>
      <td data-label={t('admin.users.factor')}>
        {t(account.second_factor ? 'admin.users.on' : 'admin.users.off')}
      </td>
      <td data-label={t('admin.users.state')}>
        <State account={account} />
      </td>
      <td className="actions">
        <button type="button" className="button" data-testid="edit-user" onClick={onOpen}>
          {t('admin.edit')}
        </button>
      </td>
    </tr>
  )
}

function State({ account }: { account: Account }): ReactElement {
  const { t, i18n } = useTranslation()
  const bar = barOf(account)
  const until = account.closed_until ? timeText(account.closed_until, i18n.language) : ''
  return (
    <>
      {bar ? (
        <Badge kind="bad">{t(`admin.users.${bar}`, { until })}</Badge>
      ) : (
        <Badge kind="good">{t('admin.users.active')}</Badge>
      )}
      {account.must_change && <small>{t('admin.users.mustChange')}</small>}
    </>
  )
}
