import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Place, UserRole } from '../../api/administration'
import { useDepartments } from '../../data/administration'
import type { Looking } from './AdminPage'
import { facilityOptions } from './FacilityChoice'
import { Choice, Line } from './fields'

const ROLES: UserRole[] = ['clinician', 'radiologist', 'technologist', 'administrator', 'auditor']
const NAME_CHARACTERS_MAX = 200
/** Who works for the region has no facility; what is empty was not chosen yet. */
const REGION = '*'

/** A place in the form of a user; `facility` undefined: not chosen yet. */
export type PlaceDraft = Omit<Place, 'facility'> & { facility: string | null | undefined }

interface Props extends Looking {
  place: PlaceDraft
  onChange: (place: PlaceDraft) => void
  /** Of one's own account only the name is changed. */
  fixed?: boolean
}

/** What a user is called and is, and where; an administrator of a facility is asked for none. */
export function PlaceFields({ own, facilities, place, onChange, fixed = false }: Props): ReactElement {
  const { t, i18n } = useTranslation()
  const departments = useDepartments(place.facility ?? null)
  const change = (some: Partial<PlaceDraft>): void => onChange({ ...place, ...some })
  const known = departments.data ?? []
  return (
    <>
      <Line
        label={t('admin.users.displayName')}
        testId="user-display-name"
        value={place.display_name}
        max={NAME_CHARACTERS_MAX}
        onChange={display_name => change({ display_name })}
      />
      <Choice
        label={t('admin.users.role')}
        testId="user-role"
        value={place.role}
        options={ROLES.map(role => [role, t(`admin.roles.${role}`)])}
        hint={t(`admin.${place.facility === null ? 'regionHints' : 'roleHints'}.${place.role}`)}
        disabled={fixed}
        onChange={role => change({ role: role as UserRole })}
      />
      {own === null && (
        <Choice
          label={t('admin.facility')}
          testId="user-facility"
          value={place.facility === null ? REGION : (place.facility ?? '')}
          options={[
            ...(place.facility === undefined ? [['', t('admin.choose')] as const] : []),
            ...facilityOptions(facilities, i18n.language),
            [REGION, t('admin.region')],
          ]}
          disabled={fixed}
          onChange={code =>
            change({ facility: code === REGION ? null : code || undefined, department: null })
          }
        />
      )}
      {(known.length > 0 || place.department) && (
        <Choice
          label={t('admin.users.department')}
          testId="user-department"
          value={place.department ?? ''}
          options={[
            ['', t('admin.users.noDepartment')],
            ...known.map(one => [one.code, `${one.name} (${one.code})`] as const),
          ]}
          disabled={fixed}
          onChange={department => change({ department: department || null })}
        />
      )}
    </>
  )
}
