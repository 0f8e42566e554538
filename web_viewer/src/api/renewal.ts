import { freshness, getSession, isOfLink, startSession } from './session'

/** A token is renewed when this part of its life is left. */
const LEFT = 0.34
const LOOK_MS = 10_000
/** OHIF and our own page in one tab, or a tab that was duplicated, ask one after the other. */
const LOCK = 'tongying.renewal'

let underWay: Promise<string | null> | null = null

/**
 * The token after this one; null when the session is over. The refresh token is in a cookie that no script reads: the
 * server takes it together with the access token, be it expired.
 */
export function renewed(token: string): Promise<string | null> {
  if (isOfLink()) return Promise.resolve(null) // it is opened anew instead
  const now = getSession().token
  if (now && now !== token) return Promise.resolve(now)
  underWay ??= locked(() => exchange(token)).finally(() => {
    underWay = null
  })
  return underWay
}

const locked = <T>(job: () => Promise<T>): Promise<T> =>
  'locks' in navigator ? (navigator.locks.request(LOCK, job) as Promise<T>) : job()

async function exchange(token: string): Promise<string | null> {
  const body = new URLSearchParams({ grant_type: 'refresh_token', cookie: 'true' })
  const headers = { Authorization: `Bearer ${token}` }
  const response = await fetch('/api/auth/token', { method: 'POST', body, headers })
  if (response.status >= 500 || response.status === 429) throw new Error('not now')
  if (!response.ok) return null
  const next = (await response.json()) as { access_token: string; expires_in: number }
  if (getSession().token !== token) return null // signed out meanwhile
  startSession(next.access_token, next.expires_in)
  return next.access_token
}

/** Asks for the next token if this one is old; that it fails is seen when this one is used. */
export async function renewInTime(): Promise<void> {
  const { token } = getSession()
  if (token && freshness() < LEFT) await renewed(token).catch(() => null)
}

/** While somebody reads and nothing is asked for, the session goes on too. */
export const keepRenewed = (): unknown => setInterval(() => void renewInTime(), LOOK_MS)
