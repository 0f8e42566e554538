import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { fetchRejections, type Rejection, type RejectionState } from '../api/rejections'
import type { Me } from '../api/types'
import { administers, KEY } from './administration'
import { type Paged, pagedBy } from './paged'

/** Whether somebody may reject what this facility owns. The server decides; this only hides the way to it. */
export const mayReject = (me: Me | undefined, facility: string | undefined): boolean =>
  Boolean(me && facility && administers(me.role) && (me.facility === null || me.facility === facility))

export interface RejectionList extends Paged {
  rejections: Rejection[]
}

/** The newest first. */
export function useRejections(state: RejectionState): RejectionList {
  const pages = useInfiniteQuery({
    queryKey: [KEY, 'rejections', state],
    queryFn: ({ pageParam, signal }) => fetchRejections(state, pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: page => page.next_before,
    placeholderData: keepPreviousData,
  })
  return {
    rejections: pages.data?.pages.flatMap(page => page.rejections) ?? [],
    ...pagedBy(pages),
  }
}
