import { getJson, request } from './http'

/** Why something is rejected: a code of PS3.16 CID 7010. */
export const CODES = ['113001', '113037', '113038', '113039'] as const
export type Code = (typeof CODES)[number]
export type RejectionState = 'active' | 'restored' | 'erased'

/** What a Rejection Note took away; moments are ISO 8601. `instances`: what is kept of what it names. */
export interface Rejection {
  id: number
  facility: string
  code: string
  reason: string
  patient_id: string
  patient_name: string
  study_uids: string[]
  instances: number
  author: string
  rejected_at: string
  /** When it is erased by itself; null where it is not. */
  kept_until: string | null
  state: RejectionState
  ended_at: string | null
  ended_by: string
}

export interface RejectionPage {
  rejections: Rejection[]
  next_before: number | null
}

/** A study, or one of its series. */
export interface NewRejection {
  study_uid: string
  series_uid: string
  code: Code
  reason: string
  facility: string
}

export function fetchRejections(
  state: RejectionState,
  before: number | null,
  signal?: AbortSignal,
): Promise<RejectionPage> {
  const query = new URLSearchParams({ state })
  if (before !== null) query.set('before', String(before))
  return getJson(`/api/rejections?${query}`, signal)
}

/** It is kept once this returns, and gone from all lists within seconds. */
export async function reject(what: NewRejection): Promise<void> {
  await request('/api/rejections', { method: 'POST', json: what })
}

export async function restore(id: number): Promise<void> {
  await request(`/api/rejections/${id}/restore`, { method: 'POST' })
}

export async function erase(id: number): Promise<void> {
  await request(`/api/rejections/${id}`, { method: 'DELETE' })
}
