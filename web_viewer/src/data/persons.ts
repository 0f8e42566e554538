import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type Decision, decide, fetchReviews, type Review, type ReviewState, undo } from '../api/persons'

/** Whether somebody of this role decides who is one person. The server decides; this hides the way. */
export const reviewsPersons = (role: string | null | undefined): boolean => role === 'administrator'

interface Decided {
  review: Review
  decision: Decision
  why: string
}

export interface Reviews {
  reviews: Review[]
  loading: boolean
  error: Error | null
  retry: () => void
  busy: boolean
  decide: (said: Decided) => void
  /** What was linked last, as long as it can be undone from here. */
  last: { review: Review; batch: number } | null
  undo: () => void
}

/** Pairs in one state, the surest first. */
export function useReviews(state: ReviewState): Reviews {
  const queries = useQueryClient()
  const list = useQuery({
    queryKey: ['reviews', state],
    queryFn: ({ signal }) => fetchReviews(state, signal),
  })
  const again = () => queries.invalidateQueries({ queryKey: ['reviews'] })
  const said = useMutation({
    mutationFn: ({ review, decision, why }: Decided) => decide(review, decision, why.trim()),
    onSettled: again,
  })
  const back = useMutation({ mutationFn: undo, onSuccess: said.reset, onSettled: again })
  const last = said.data && said.variables ? { review: said.variables.review, batch: said.data } : null
  return {
    reviews: list.data ?? [],
    loading: list.isPending,
    error: list.error ?? said.error ?? back.error,
    retry: () => void list.refetch(),
    busy: said.isPending || back.isPending,
    decide: said.mutate,
    last,
    undo: () => last && back.mutate(last.batch),
  }
}
