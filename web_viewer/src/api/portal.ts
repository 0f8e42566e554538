import { getJson } from './http'
import type { Manifest, Me, StudyFilter, StudyPage, Viewers } from './types'

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
