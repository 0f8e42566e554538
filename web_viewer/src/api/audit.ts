import { getJson, request } from './http'

export interface Subject {
  facility: string
  issuer: string
  patient_id: string
}

/** An entry of the audit trail; what is empty is left out. */
export interface AuditEntry {
  position: number
  at: string
  action: string
  outcome: string
  service: string
  who?: string
  role?: string
  facility?: string
  purpose?: string
  address?: string
  ae_title?: string
  asked?: string
  studies: string[]
  subjects: Subject[]
}

export interface AuditPage {
  entries: AuditEntry[]
  next_before: number | null
}

/** Whether the last entries hold each other, and how far the trail is anchored outside of the database. */
export interface AuditState {
  first: number
  last: number
  anchored: number
  anchored_at: string | null
  sound: boolean
  findings: string[]
}

/** What the trail is narrowed by; empty strings mean no limit. */
export interface AuditFilter {
  who: string
  patient: string
  action: string
  outcome: string
  from: string
  to: string
}

export function auditQuery(filter: AuditFilter, before: number | null): string {
  const query = new URLSearchParams()
  const given: Record<string, string> = {
    who: filter.who.trim(),
    patient_id: filter.patient.trim(),
    action: filter.action,
    outcome: filter.outcome,
    since: filter.from,
    until: filter.to,
    before: before === null ? '' : String(before),
  }
  for (const [name, value] of Object.entries(given)) if (value) query.set(name, value)
  return query.toString()
}

export const fetchAudit = (
  filter: AuditFilter,
  before: number | null,
  signal?: AbortSignal,
): Promise<AuditPage> => getJson(`/api/audit?${auditQuery(filter, before)}`, signal)

export const fetchAuditState = (signal?: AbortSignal): Promise<AuditState> =>
  getJson('/api/audit/state', signal)

/** A page to print: who looked at a patient's studies, without names where it is handed out. */
export async function fetchLooked(
  facility: string,
  patient: string,
  language: string,
  names: boolean,
): Promise<Blob> {
  const said = language.startsWith('zh') ? 'zh' : 'en'
  const query = new URLSearchParams({ facility, patient_id: patient, form: 'html', language: said })
  const response = await request(`/api/audit/looked?${query}&names=${names}`, { accept: 'text/html' })
  return response.blob()
}
