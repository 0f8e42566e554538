import type { InfiniteData, UseInfiniteQueryResult } from '@tanstack/react-query'

/** A list that is read page by page. */
export interface Paged {
  hasMore: boolean
  loading: boolean
  loadingMore: boolean
  error: Error | null
  loadMore: () => void
  retry: () => void
}

/** How a list stands whose pages are asked for by this query. */
export function pagedBy<Page>(pages: UseInfiniteQueryResult<InfiniteData<Page>>): Paged {
  return {
    hasMore: pages.hasNextPage,
    loading: pages.isPending,
    loadingMore: pages.isFetchingNextPage,
    error: pages.error,
    loadMore: () => void pages.fetchNextPage(),
    retry: () => void pages.refetch(),
  }
}
