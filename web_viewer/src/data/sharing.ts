import { useInfiniteQuery, useMutation, useQueryClient } from '@tanstack/react-query'
import { type Alert, breakGlass, fetchAlerts, noteAlert } from '../api/sharing'

export const REASON_CHARACTERS_MIN = 10
export const REASON_CHARACTERS_MAX = 500
const ALERTS_POLL_MS = 30_000
const TREATING = new Set(['clinician', 'radiologist'])
const ALERTED = new Set(['administrator', 'auditor'])

/** Whether somebody of this role may open others' studies in an emergency. The server decides; this hides the way. */
export const mayBreakGlass = (role: string | null | undefined): boolean => TREATING.has(role ?? '')

/** Whether somebody of this role is told of emergencies. */
export const readsAlerts = (role: string | null | undefined): boolean => ALERTED.has(role ?? '')

/** Opens what there is of a patient of one's own hospital elsewhere. */
export function useBreakGlass() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: ({ patientId, reason }: { patientId: string; reason: string }) =>
      breakGlass(patientId.trim(), reason.trim()),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['studies'] }),
  })
}

export interface Alerts {
  alerts: Alert[]
  waiting: number
  loading: boolean
  error: Error | null
  hasMore: boolean
  loadMore: () => void
  note: (id: number) => void
}

/** Emergencies at the owner's patients, newest first. */
export function useAlerts(): Alerts {
  const queries = useQueryClient()
  const pages = useInfiniteQuery({
    queryKey: ['alerts'],
    queryFn: ({ pageParam, signal }) => fetchAlerts(pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: page => page.next_before,
    refetchInterval: ALERTS_POLL_MS,
  })
  const note = useMutation({
    mutationFn: noteAlert,
    onSettled: () => queries.invalidateQueries({ queryKey: ['alerts'] }),
  })
  const alerts = pages.data?.pages.flatMap(page => page.rows) ?? []
  return {
    alerts,
    waiting: alerts.filter(one => !one.noted_at).length,
    loading: pages.isPending,
    error: pages.error ?? note.error,
    hasMore: pages.hasNextPage,
    loadMore: () => void pages.fetchNextPage(),
    note: id => note.mutate(id),
  }
}
