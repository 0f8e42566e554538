import type { TFunction } from 'i18next'
import { ApiError } from '../../api/http'
import { describeError } from '../describe'

/** What the server says in English against a change, by what is sure to stand in it. */
const KNOWN = [
  [/a password has (\d+ to \d+) characters/, 'passwordLength'],
  [/guessed first/, 'passwordGuessed'],
  [/password is not the user's name/, 'passwordName'],
  [/there is a user .* already/, 'userExists'],
  [/there is a facility .* already/, 'facilityExists'],
  [/is registered at .* already/, 'deviceExists'],
  [/technologist belongs/, 'technologist'],
  [/code has 1 to 16/, 'code'],
  [/AE title has/, 'aeTitle'],
  [/neither an IP address/, 'address'],
  [/defined term|character set has/, 'charset'],
  [/fingerprint/, 'certificate'],
  [/transfer syntax/, 'syntax'],
  [/their own role|your own credentials/, 'own'],
  [/only the region's administrators/, 'regional'],
] as const

const TOLD = new Set([400, 409, 422])

/** Why a change was not taken, in the reader's words; the server's own where they are not known here. */
export function describeRefusal(error: Error, t: TFunction): string {
  if (!(error instanceof ApiError)) return describeError(error, t)
  const detail = error.detail ?? ''
  for (const [pattern, name] of KNOWN) {
    const found = pattern.exec(detail)
    if (found) return t(`admin.refused.${name}`, { limits: (found[1] ?? '').replace(' to ', '–') })
  }
  if (error.status === 403) return t('admin.refused.forbidden')
  if (error.status === 404) return t('admin.refused.gone')
  return TOLD.has(error.status)
    ? t('admin.refused.other', { detail: detail || error.title })
    : describeError(error, t)
}
