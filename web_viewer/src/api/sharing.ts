import { getJson, request } from './http'

/** What an emergency opened: studies, until a moment (ISO 8601). */
export interface Opened {
  studies: string[]
  until: string
}

/** An emergency at one of the owner's patients. */
export interface Alert {
  id: number
  facility: string
  patient_id: string | null
  issuer: string | null
  made_by: string
  reason: string
  since: string
  until: string
  noted_at: string | null
  noted_by: string | null
}

export interface AlertPage {
  rows: Alert[]
  next_before: number | null
}

export async function breakGlass(patientId: string, reason: string): Promise<Opened> {
  const json = { patient_id: patientId, reason }
  const response = await request('/api/break-glass', { method: 'POST', json })
  return (await response.json()) as Opened
}

export const fetchAlerts = (before: number | null, signal?: AbortSignal): Promise<AlertPage> =>
  getJson(`/api/break-glass${before === null ? '' : `?before=${before}`}`, signal)

export async function noteAlert(id: number): Promise<void> {
  await request(`/api/break-glass/${id}/note`, { method: 'POST' })
}
