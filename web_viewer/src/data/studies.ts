import { useQuery } from '@tanstack/react-query'
import { useCallback, useEffect, useMemo, useState } from 'react'
import { fetchManifest, fetchMe, fetchStudies, fetchViewers } from '../api/portal'
import type { Study, StudyFilter, StudyPage } from '../api/types'
import type { Paged } from './paged'

const POLL_MS = 3000
const MANIFEST_POLL_MS = 15_000

/** The list as known so far: newest first, and where it goes on. */
export interface Known {
  studies: Study[]
  next: string | null
}

/**
 * The first page is asked for again and again; studies that it pushes off its end stay in the list.
 * Where the new page and the known list share nothing, there may be a gap, and the list starts anew.
 */
export function mergeHead(known: Known | null, head: StudyPage): Known {
  const fresh: Known = { studies: head.studies, next: head.next_cursor }
  if (!known || head.next_cursor === null) return fresh
  const inHead = new Set(head.studies.map(study => study.study_uid))
  const last = known.studies.findLastIndex(study => inHead.has(study.study_uid))
  if (last < 0) return fresh
  const below = known.studies.slice(last + 1)
  return { studies: [...head.studies, ...below], next: below.length > 0 ? known.next : head.next_cursor }
}

export function appendPage(known: Known, page: StudyPage): Known {
  const have = new Set(known.studies.map(study => study.study_uid))
  const added = page.studies.filter(study => !have.has(study.study_uid))
  return { studies: [...known.studies, ...added], next: page.next_cursor }
}

const keyOf = (filter: StudyFilter): string => JSON.stringify(filter)

export interface StudyList extends Paged {
  studies: Study[]
}

export function useStudyList(filter: StudyFilter): StudyList {
  const key = keyOf(filter)
  const head = useQuery({
    queryKey: ['studies', key],
    queryFn: ({ signal }) => fetchStudies(filter, null, signal),
    refetchInterval: POLL_MS,
    refetchIntervalInBackground: false,
  })
  const [held, setHeld] = useState<{ key: string; known: Known } | null>(null)
  const [more, setMore] = useState<{ busy: boolean; error: Error | null }>({ busy: false, error: null })

  useEffect(() => {
    const page = head.data
    if (!page) return
    setHeld(old => ({ key, known: mergeHead(old?.key === key ? old.known : null, page) }))
  }, [head.data, key])

  const known = held?.key === key ? held.known : null
  const next = known?.next ?? null
  const loadMore = useCallback(() => {
    if (!next) return
    setMore({ busy: true, error: null })
    fetchStudies(JSON.parse(key) as StudyFilter, next)
      .then(page => {
        setHeld(old =>
          old?.key === key && old.known.next === next ? { key, known: appendPage(old.known, page) } : old,
        )
        setMore({ busy: false, error: null })
      })
      .catch((error: Error) => setMore({ busy: false, error }))
  }, [key, next])

  const { refetch } = head
  const retry = useCallback(() => {
    setMore({ busy: false, error: null })
    void refetch()
  }, [refetch])

  return useMemo(
    () => ({
      studies: known?.studies ?? [],
      hasMore: next !== null,
      loading: known === null && !head.error,
      loadingMore: more.busy,
      error: more.error ?? head.error,
      loadMore,
      retry,
    }),
    [known, next, head.error, more, loadMore, retry],
  )
}

export const manifestQuery = (studyUid: string) => ({
  queryKey: ['study', studyUid],
  queryFn: ({ signal }: { signal: AbortSignal }) => fetchManifest(studyUid, signal),
  staleTime: 30_000,
})

/** A study may still be arriving while it is read. */
export const useManifest = (studyUid: string) =>
  useQuery({ ...manifestQuery(studyUid), refetchInterval: MANIFEST_POLL_MS })

export const useMe = () =>
  useQuery({ queryKey: ['me'], queryFn: ({ signal }) => fetchMe(signal), staleTime: Infinity })

export const useViewers = () =>
  useQuery({ queryKey: ['viewers'], queryFn: ({ signal }) => fetchViewers(signal), staleTime: Infinity })
