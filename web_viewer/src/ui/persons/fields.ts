import type { TFunction } from 'i18next'
import type { Review, SeenPatient } from '../../api/persons'
import { sexText } from '../format'

const NAMES = ['id', 'name', 'birth', 'sex', 'phone', 'number'] as const
type Name = (typeof NAMES)[number]

export interface Field {
  name: Name
  low: string
  high: string
  /** Both are known, and they are not the same. An ID is each hospital's own. */
  differ: boolean
}

const plain = (name: string): string =>
  name
    .split('=')
    .map(group => group.replaceAll('^', ' ').trim())
    .filter(Boolean)
    .join(' / ')

/** What was said last, by any message or image, is what is compared. */
function factsOf(patient: SeenPatient, t: TFunction): Record<Name, string> {
  return {
    id: [patient.issuer, patient.patient_id].filter(Boolean).join(' / '),
    name: plain(patient.said_name || patient.patient_name),
    birth: patient.said_birth_date ?? patient.birth_date ?? '',
    sex: sexText(patient.said_sex || patient.sex, t) ?? '',
    phone: patient.phone,
    number: patient.resident_number,
  }
}

/** What is known of either; a row that would be empty is left out. */
export function shownFields(review: Review, t: TFunction): Field[] {
  const low = factsOf(review.low, t)
  const high = factsOf(review.high, t)
  return NAMES.filter(name => low[name] || high[name]).map(name => ({
    name,
    low: low[name],
    high: high[name],
    differ: name !== 'id' && low[name] !== '' && high[name] !== '' && low[name] !== high[name],
  }))
}
