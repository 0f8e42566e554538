import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { ListedFacility } from '../../api/administration'
import { facilityName } from '../format'
import type { Option } from './fields'

/** Codes with names in the reader's language, to choose from. */
export const facilityOptions = (facilities: ListedFacility[], language: string): Option[] =>
  facilities.map(one => [one.code, `${facilityName(one, language)} (${one.code})`])

interface Props {
  facilities: ListedFacility[]
  value: string
  onChange: (code: string) => void
}

/** Of which facility a list is; for those who look after several. */
export function FacilityFilter({ facilities, value, onChange }: Props): ReactElement {
  const { t, i18n } = useTranslation()
  return (
    <select
      className="field"
      data-testid="of-facility"
      aria-label={t('admin.facility')}
      value={value}
      onChange={event => onChange(event.target.value)}
    >
      <option value="">{t('admin.allFacilities')}</option>
      {facilityOptions(facilities, i18n.language).map(([code, name]) => (
        <option key={code} value={code}>
          {name}
        </option>
      ))}
    </select>
  )
}
