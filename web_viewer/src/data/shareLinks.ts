import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import {
  fetchLinks,
  fetchLooks,
  fetchOfPatient,
  fetchShared,
  makeLink,
  revokeLink,
  type ShareLink,
} from '../api/shareLinks'
import type { Me, Study } from '../api/types'

export const DAYS = [1, 7, 30, 90] as const
export const DAYS_CHOSEN = 7
const SHARING = new Set(['administrator', 'clinician', 'radiologist'])

/** Whether they may share what a facility owns. The server decides; this hides the way. */
export function mayShare(me: Me | undefined, facility: string | undefined): boolean {
  if (!me || !facility || !SHARING.has(me.role ?? '')) return false
  return me.facility === facility || (me.role === 'administrator' && !me.facility)
}

export const isOpen = (link: ShareLink): boolean => new Date(link.until).getTime() > Date.now()

/** The patient's studies at the same facility: those that one link may name. */
export function useStudiesOfPatient(study: Study) {
  return useQuery({
    queryKey: ['of-patient', study.facility?.code, study.patient_id],
    queryFn: async ({ signal }) => {
      const page = await fetchOfPatient(study.patient_id ?? '', signal)
      return page.studies.filter(one => one.facility?.code === study.facility?.code)
    },
    enabled: Boolean(study.patient_id),
  })
}

export function useLinks(studyUid: string) {
  const queries = useQueryClient()
  const again = () => queries.invalidateQueries({ queryKey: ['share-links'] })
  const list = useQuery({
    queryKey: ['share-links', studyUid],
    queryFn: ({ signal }) => fetchLinks(studyUid, signal),
  })
  const make = useMutation({ mutationFn: makeLink, onSuccess: again })
  const revoke = useMutation({ mutationFn: revokeLink, onSettled: again })
  return { links: list.data ?? [], error: list.error ?? revoke.error, make, revoke: revoke.mutate }
}

export const useShared = () =>
  useQuery({ queryKey: ['shared'], queryFn: ({ signal }) => fetchShared(signal) })

export const useLooks = () => useQuery({ queryKey: ['looks'], queryFn: ({ signal }) => fetchLooks(signal) })
