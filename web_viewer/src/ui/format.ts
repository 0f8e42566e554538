import type { TFunction } from 'i18next'
import type { Facility } from '../api/types'

export interface Named {
  patient_name: string | null
  patient_name_ideographic: string | null
}

/** Characters first where there are any, Latin as the second line. */
export function nameLines(study: Named): { main: string | null; second: string | null } {
  const latin = study.patient_name?.replaceAll('^', ' ').replace(/\s+/g, ' ').trim() || null
  const characters = study.patient_name_ideographic?.replaceAll('^', '').trim() || null
  return characters ? { main: characters, second: latin } : { main: latin, second: null }
}

/** In the reader's language, if the facility has a name in it. */
export function facilityName(facility: Facility | null, language: string): string | null {
  if (!facility) return null
  return language.startsWith('zh') ? facility.name : facility.name_en || facility.name
}

function utc(date: string): Date | null {
  const parsed = new Date(`${date}T00:00:00Z`)
  return Number.isNaN(parsed.getTime()) ? null : parsed
}

const DAY_MS = 86_400_000

/** Age on the day of the study; in days and months for the smallest, as paediatrics counts. */
export function age(
  birth: string | null,
  at: string | null,
): { count: number; unit: 'years' | 'months' | 'days' } | null {
  const born = birth ? utc(birth) : null
  const then = at ? utc(at) : null
  if (!born || !then || then < born) return null
  const before = then.getUTCDate() < born.getUTCDate() ? 1 : 0
  const months =
    (then.getUTCFullYear() - born.getUTCFullYear()) * 12 + then.getUTCMonth() - born.getUTCMonth() - before
  if (months >= 36) return { count: Math.floor(months / 12), unit: 'years' }
  if (months >= 1) return { count: months, unit: 'months' }
  return { count: Math.round((then.getTime() - born.getTime()) / DAY_MS), unit: 'days' }
}

export function ageText(birth: string | null, at: string | null, t: TFunction): string | null {
  const found = age(birth, at)
  return found && found.count < 150 * 12 ? t(`age.${found.unit}`, { count: found.count }) : null
}

/** The three values of the standard; what else stands there is not a sex. */
export function sexText(sex: string | null, t: TFunction): string | null {
  return sex === 'M' || sex === 'F' || sex === 'O' ? t(`sex.${sex}`) : null
}

/** A DICOM DA as people write it. */
export function daText(date: string | null): string | null {
  return date && /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date
}

/** The local calendar day, `days` before today, as the API takes it. */
export function dayBefore(days: number, now = new Date()): string {
  const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() - days)
  const two = (part: number) => String(part).padStart(2, '0')
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`
}

export const fixed = (value: number, digits: number): string =>
  value.toFixed(digits).replace(/^-(0(?:\.0+)?)$/, '$1')
