import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { ListedFacility } from '../../api/administration'
import { facilityName } from '../format'
import type { Looking } from './AdminPage'
import { DepartmentsDialog } from './DepartmentsDialog'
import { FacilityDialog } from './FacilityDialog'
import { Badge, Head } from './fields'
import { PolicyDialog } from './PolicyDialog'

const COLUMNS = ['name', 'code', 'tier', 'grade', 'sharing'] as const
type What = 'edit' | 'sharing' | 'departments'
const ACTIONS: What[] = ['edit', 'sharing', 'departments']

/** The hospitals of the region; an administrator of one sees that one. */
export function FacilitiesTab({ own, facilities }: Looking): ReactElement {
  const { t } = useTranslation()
  const [open, setOpen] = useState<{ code: string; what: What } | 'new' | null>(null)
  const close = (): void => setOpen(null)
  const shown = open && open !== 'new' ? facilities.find(one => one.code === open.code) : undefined
  const what = shown && open !== 'new' ? open?.what : null
  return (
    <>
      {own === null && (
        <div className="admin-tools">
          <span className="grow" />
          <button
            type="button"
            className="button primary"
            data-testid="add-facility"
            onClick={() => setOpen('new')}
          >
            {t('admin.facilities.add')}
          </button>
        </div>
      )}
      {facilities.length === 0 ? (
        <p className="admin-none">{t('admin.facilities.none')}</p>
      ) : (
        <Table facilities={facilities} onOpen={(code, what) => setOpen({ code, what })} />
      )}
      {open === 'new' && (
        // A new facility shares nothing: what it is to share is asked at once.
        <FacilityDialog onClose={close} onAdded={code => setOpen({ code, what: 'sharing' })} />
      )}
      {shown && what === 'edit' && <FacilityDialog facility={shown} onClose={close} />}
      {shown && what === 'sharing' && <PolicyDialog facility={shown} onClose={close} />}
      {shown && what === 'departments' && <DepartmentsDialog facility={shown} onClose={close} />}
    </>
  )
}

interface TableProps {
  facilities: ListedFacility[]
  onOpen: (code: string, what: What) => void
}

function Table({ facilities, onOpen }: TableProps): ReactElement {
  const { t, i18n } = useTranslation()
  return (
    <table className="admin-table">
      <Head words={COLUMNS.map(name => t(`admin.facilities.${name}`))} />
      <tbody>
        {facilities.map(one => (
          <tr key={one.code} data-testid="facility-row" data-code={one.code}>
            <td className="first">
              <b>{facilityName(one, i18n.language)}</b>
              <small>{i18n.language.startsWith('zh') ? one.name_en : one.name_en && one.name}</small>
            </td>
            <td data-label={t('admin.facilities.code')}>{one.code}</td>
            <td data-label={t('admin.facilities.tier')}>
              {one.tier ? t(`admin.facilities.tiers.${one.tier}`) : '–'}
            </td>
            <td data-label={t('admin.facilities.grade')}>{one.grade || '–'}</td>
            <td data-label={t('admin.facilities.sharing')}>
              <Badge kind={one.scope === 'none' ? 'plain' : 'good'}>
                {t(`admin.sharing.scopes.${one.scope}`)}
              </Badge>
            </td>
            <td className="actions">
              {ACTIONS.map(what => (
                <button
                  key={what}
                  type="button"
                  className="button"
                  data-testid={`facility-${what}`}
                  onClick={() => onOpen(one.code, what)}
                >
                  {t(what === 'edit' ? 'admin.edit' : `admin.facilities.${what}`)}
                </button>
              ))}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
