import { request } from './http'
import { getSession, startSession } from './session'

/** What the token endpoint gives. `must`: what has to be done before the token opens anything else. */
export interface Grant {
  access_token: string
  expires_in: number
  must?: 'password' | 'second_factor'
}

/** Shown once: for an authenticator app, as text and as a picture. */
export interface Enrolment {
  secret: string
  uri: string
  qr: string
}

export interface Confirmed {
  recovery_codes: string[]
  token: Grant
}

async function asked<T>(path: string, json: unknown, token: string): Promise<T> {
  const response = await request(path, { method: 'POST', json, token })
  return (await response.json()) as T
}

async function granted(form: Record<string, string>): Promise<Grant> {
  const body = new URLSearchParams({ ...form, cookie: 'true' })
  const response = await request('/api/auth/token', { method: 'POST', body })
  return (await response.json()) as Grant
}

export const signIn = (username: string, password: string, code: string): Promise<Grant> =>
  granted({ grant_type: 'password', username, password, ...(code ? { code } : {}) })

/** Whether there is an OpenID provider to sign in with. */
export async function hasProvider(): Promise<boolean> {
  const response = await request('/api/auth/ways')
  return ((await response.json()) as { openid: boolean }).openid
}

export const providerAddress = (): string => `/api/auth/openid?back=${encodeURIComponent(location.pathname)}`

export const enter = (grant: Grant): void => startSession(grant.access_token, grant.expires_in)

export const changePassword = (grant: Grant, current: string, next: string, code: string): Promise<Grant> =>
  asked('/api/me/password', { current, new: next, code, cookie: true }, grant.access_token)

export const enrol = (grant: Grant, password: string): Promise<Enrolment> =>
  asked('/api/me/second-factor', { password }, grant.access_token)

export const confirmFactor = (grant: Grant, code: string): Promise<Confirmed> =>
  asked('/api/me/second-factor/confirm', { code, cookie: true }, grant.access_token)

/** A sign-in that another system or a provider began comes as a ticket behind the address, good once. */
export async function enterByTicket(): Promise<void> {
  const ticket = new URLSearchParams(location.hash.slice(1)).get('ticket')
  if (!ticket) return
  history.replaceState(null, '', location.pathname + location.search)
  try {
    enter(await granted({ grant_type: 'urn:tongying:ticket', ticket }))
  } catch {
    // It was used or is too old: the page asks for a password.
  }
}

/** Nobody waits for the answer: the page is left. */
export function leave(): void {
  const { token } = getSession()
  if (!token) return
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  void fetch('/api/auth/sign-out', { method: 'POST', headers, body: '{}', keepalive: true }).catch(() => {})
}
