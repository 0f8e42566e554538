import { endSession } from '../api/session'
import { leave } from '../api/signIn'

/** A fresh page holds no picture and no name of the last user. */
export function signOut(): void {
  leave()
  endSession()
  sessionStorage.clear() // OHIF keeps what its list was searched for
  location.replace('/')
}

/** The holder of a share link goes; the link itself stays. */
export function leaveLink(): void {
  sessionStorage.clear()
  location.replace('/')
}
