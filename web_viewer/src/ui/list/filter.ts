import type { StudyFilter } from '../../api/types'
import { dayBefore } from '../format'

export const MODALITIES = ['CT', 'MR', 'US', 'DX', 'CR', 'XA', 'MG', 'RF', 'NM', 'PT', 'ES'] as const

export const DATE_PRESETS = { all: null, today: 0, days3: 2, week: 6, month: 29 } as const
export type DatePreset = keyof typeof DATE_PRESETS

/** The filter as it stands in the address, so that going back finds the same list. */
export interface ListSearch {
  q?: string
  m?: string[]
  date?: DatePreset
  from?: string
  to?: string
}

const day = (value: unknown): string | undefined =>
  typeof value === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(value) ? value : undefined

/** Reads an address that anyone may have typed: what is not understood is left out. */
export function searchOf(raw: Record<string, unknown>): ListSearch {
  const found: ListSearch = {}
  if (typeof raw.q === 'string' || typeof raw.q === 'number') found.q = String(raw.q)
  if (Array.isArray(raw.m)) found.m = raw.m.filter((one): one is string => typeof one === 'string')
  if (typeof raw.date === 'string' && raw.date in DATE_PRESETS) found.date = raw.date as DatePreset
  const from = day(raw.from)
  const to = day(raw.to)
  if (from) found.from = from
  if (to) found.to = to
  return found
}

export function filterOf(search: ListSearch): StudyFilter {
  const back = search.date ? DATE_PRESETS[search.date] : null
  return {
    q: search.q ?? '',
    modalities: [...(search.m ?? [])].sort(),
    from: back === null ? (search.from ?? '') : dayBefore(back),
    to: back === null ? (search.to ?? '') : '',
  }
}

/** Without empty entries, so that the address stays short. */
export function tidied(search: ListSearch): ListSearch {
  return Object.fromEntries(
    Object.entries(search).filter(([, value]) => value !== undefined && value !== '' && value.length !== 0),
  ) as ListSearch
}

export const isNarrowed = (search: ListSearch): boolean => Object.keys(tidied(search)).length > 0
