/** The bearer token: kept for this tab only, so that closing it signs out. OHIF's configuration reads it there too. */
const KEY = 'tongying.token'
/** When it expires, in milliseconds by this machine's clock, and how long it was good for when it came. */
const EXPIRES = 'tongying.expires'
const LASTS = 'tongying.lasts'
const RETURN = 'tongying.return'
/** There while the session is that of a share link, and after it ended. */
const LINK = 'tongying.link'

export interface Session {
  token: string | null
  /** True when the server refused the token, as opposed to the user leaving. */
  expired: boolean
}

let session: Session = { token: sessionStorage.getItem(KEY), expired: false }
const listeners = new Set<() => void>()

function set(next: Session): void {
  session = next
  if (next.token) sessionStorage.setItem(KEY, next.token)
  else sessionStorage.removeItem(KEY)
  for (const listener of listeners) listener()
}

export const getSession = (): Session => session

export function subscribeSession(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function startSession(token: string, seconds: number, ofLink = false): void {
  if (ofLink) sessionStorage.setItem(LINK, '1')
  else sessionStorage.removeItem(LINK)
  sessionStorage.setItem(EXPIRES, String(Date.now() + seconds * 1000))
  sessionStorage.setItem(LASTS, String(seconds * 1000))
  set({ token, expired: false })
}

/** Whether who is here holds a share link, and has no account. */
export const isOfLink = (): boolean => sessionStorage.getItem(LINK) !== null

/** How long the token is good for still, as a part of its life: 1 for a new one, 0 and less for an old one. */
export function freshness(): number {
  const lasts = Number(sessionStorage.getItem(LASTS))
  return lasts ? (Number(sessionStorage.getItem(EXPIRES)) - Date.now()) / lasts : 1
}

export const endSession = (): void => set({ token: null, expired: false })

/** Where OHIF, which has no sign-in of its own, sent somebody from; told once, so that they get back. */
export function takeReturn(): string | null {
  const path = sessionStorage.getItem(RETURN)
  sessionStorage.removeItem(RETURN)
  return path?.startsWith('/ohif/') ? path : null
}

/** The token is passed so that a late 401 for an old one does not end a new session. */
export function expireSession(token: string | null): void {
  if (token && session.token === token) set({ token: null, expired: true })
}
