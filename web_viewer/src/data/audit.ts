import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { type AuditEntry, type AuditFilter, type AuditState, fetchAudit, fetchAuditState } from '../api/audit'
import { type Paged, pagedBy } from './paged'

const STATE_POLL_MS = 30_000
const READERS = new Set(['auditor', 'administrator'])

/** Whether somebody of this role may read the trail. The server decides; this only hides the way to it. */
export const readsAudit = (role: string | null | undefined): boolean => READERS.has(role ?? '')

export interface AuditList extends Paged {
  entries: AuditEntry[]
}

/** Entries that fit, newest first, a page at a time. */
export function useAudit(filter: AuditFilter): AuditList {
  const pages = useInfiniteQuery({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam, signal }) => fetchAudit(filter, pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: page => page.next_before,
  })
  return {
    entries: pages.data?.pages.flatMap(page => page.entries) ?? [],
    ...pagedBy(pages),
  }
}

export function useAuditState(): AuditState | null {
  const state = useQuery({
    queryKey: ['audit-state'],
    queryFn: ({ signal }) => fetchAuditState(signal),
    refetchInterval: STATE_POLL_MS,
  })
  return state.data ?? null
}
