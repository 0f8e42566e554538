import { getJson, request } from './http'

/** A patient as an administrator sees one; numbers are masked. The `said_` fields are those that are compared. */
export interface SeenPatient {
  id: number
  facility: string
  patient_id: string
  issuer: string
  patient_name: string
  birth_date: string | null
  sex: string
  phone: string
  resident_number: string
  said_name: string
  said_birth_date: string | null
  said_sex: string
  reused: boolean
}

export type ReviewState = 'open' | 'accepted' | 'refused'
export type Decision = 'accept' | 'refuse'

/** Two patients who may be one person; `bits` of evidence speak for it. */
export interface Review {
  low: SeenPatient
  high: SeenPatient
  bits: number | null
  why: string
  state: ReviewState
  decided_by: string
}

export async function fetchReviews(state: ReviewState, signal?: AbortSignal): Promise<Review[]> {
  const found = await getJson<{ reviews: Review[] }>(`/api/persons/reviews?state=${state}`, signal)
  return found.reviews
}

/** The number by which it can be undone; 0 where nothing was linked. */
export async function decide(review: Review, decision: Decision, why: string): Promise<number> {
  const path = `/api/persons/reviews/${review.low.id}/${review.high.id}`
  const response = await request(path, { method: 'POST', json: { decision, why } })
  return ((await response.json()) as { batch: number }).batch
}

export async function undo(batch: number): Promise<void> {
  await request(`/api/persons/steps/${batch}/undo`, { method: 'POST' })
}
