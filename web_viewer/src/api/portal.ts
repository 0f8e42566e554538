import { getJson, request } from './http'
import { startSession } from './session'
import type { Manifest, Me, StudyFilter, StudyPage, Viewers } from './types'

export async function signIn(username: string, password: string): Promise<void> {
  const body = new URLSearchParams({ grant_type: 'password', username, password })
  const response = await request('/api/auth/token', { method: 'POST', body })
  const { access_token } = (await response.json()) as { access_token: string }
  startSession(access_token)
}

export const fetchMe = (signal?: AbortSignal): Promise<Me> => getJson('/api/me', signal)

export const fetchViewers = (signal?: AbortSignal): Promise<Viewers> => getJson('/api/viewers', signal)

export const PAGE_SIZE = 50

export function studyQuery(filter: StudyFilter, cursor: string | null): string {
  const query = new URLSearchParams()
  if (filter.q.trim()) query.set('q', filter.q.trim())
  for (const modality of filter.modalities) query.append('modality', modality)
  if (filter.from) query.set('date_from', filter.from)
  if (filter.to) query.set('date_to', filter.to)
  if (cursor) query.set('cursor', cursor)
  query.set('limit', String(PAGE_SIZE))
  return query.toString()
}

export function fetchStudies(
  filter: StudyFilter,
  cursor: string | null,
  signal?: AbortSignal,
): Promise<StudyPage> {
  return getJson(`/api/studies?${studyQuery(filter, cursor)}`, signal)
}

export const fetchManifest = (studyUid: string, signal?: AbortSignal): Promise<Manifest> =>
  getJson(`/api/studies/${encodeURIComponent(studyUid)}`, signal)
