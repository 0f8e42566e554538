/** A list that is read page by page. */
export interface Paged {
  hasMore: boolean
  loading: boolean
  loadingMore: boolean
  error: Error | null
  loadMore: () => void
  retry: () => void
}
