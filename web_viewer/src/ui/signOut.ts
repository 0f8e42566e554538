import { endSession } from '../api/session'

/** A fresh page holds no picture and no name of the last user. */
export function signOut(): void {
  endSession()
  sessionStorage.clear() // OHIF keeps what its list was searched for
  location.replace('/')
}
