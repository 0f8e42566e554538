import { getJson, request } from './http'
import { startSession } from './session'
import type { StudyPage } from './types'

/** What is shown once; the code is told to the patient in another way than the address. */
export interface MadeLink {
  id: number
  url: string
  code: string | null
  qr: string
  until: string
}

export interface ShareLink {
  id: number
  study_uids: string[]
  since: string
  until: string
  made_by: string
  ended_by: string
  opened_at: string | null
  with_code: boolean
}

export interface Shared {
  facility: { code: string; name: string; name_en: string }
  studies: string[]
  until: string
}

/** Somebody looked at studies, on one day: without names. */
export interface Look {
  first: string
  last: string
  times: number
  facility: string
  facility_name: string
  facility_name_en: string
  role: string
  kind: string
  studies: string[]
  purpose: string
}

export async function makeLink(json: {
  facility: string
  studies: string[]
  days: number
  with_code: boolean
}): Promise<MadeLink> {
  const response = await request('/api/share-links', { method: 'POST', json })
  return (await response.json()) as MadeLink
}

export async function fetchLinks(studyUid: string, signal?: AbortSignal): Promise<ShareLink[]> {
  const path = `/api/share-links?study_uid=${encodeURIComponent(studyUid)}`
  return (await getJson<{ rows: ShareLink[] }>(path, signal)).rows
}

export async function revokeLink(id: number): Promise<void> {
  await request(`/api/share-links/${id}`, { method: 'DELETE' })
}

export const fetchOfPatient = (patientId: string, signal?: AbortSignal): Promise<StudyPage> =>
  getJson(`/api/studies?limit=50&patient_id=${encodeURIComponent(patientId)}`, signal)

export const fetchShared = (signal?: AbortSignal): Promise<Shared> => getJson('/api/shared', signal)

export async function fetchLooks(signal?: AbortSignal): Promise<Look[]> {
  return (await getJson<{ looks: Look[] }>('/api/shared/looks', signal)).looks
}

/** The secret of the link by which this page was opened, and whether it asks for a code too. */
export interface HeldLink {
  secret: string
  coded: boolean
}

let held: HeldLink | null = null
const listeners = new Set<() => void>()

function hold(next: HeldLink | null): void {
  held = next
  for (const listener of listeners) listener()
}

export const heldLink = (): HeldLink | null => held

export function subscribeLink(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Takes the secret from behind the address, where neither a server nor the history of this browser keeps it. */
export function holdLink(): void {
  const behind = new URLSearchParams(location.hash.slice(1))
  const secret = behind.get('link')
  if (location.pathname !== '/shared' || !secret) return
  history.replaceState(null, '', location.pathname)
  hold({ secret, coded: behind.has('code') })
}

/** Exchanges it for a session, and forgets it. */
export async function openLink(link: HeldLink, code: string): Promise<void> {
  const json = { secret: link.secret, code }
  // Without this tab's session, if there is one: it ends here.
  const response = await request('/api/auth/link', { method: 'POST', json, token: 'none' })
  const token = (await response.json()) as { access_token: string; expires_in: number }
  startSession(token.access_token, token.expires_in, true)
  hold(null)
}
