import type { TFunction } from 'i18next'
import { describe, expect, it } from 'vitest'
import { ApiError } from '../../api/http'
import { describeRefusal } from './refusal'

const t = ((key: string, values: object) => `${key} ${JSON.stringify(values ?? {})}`) as unknown as TFunction
const said = (status: number, detail: string): string => describeRefusal(new ApiError(status, '', detail), t)

describe('why a change was not taken', () => {
  it('is said in words that are known here', () => {
    expect(said(400, 'a password has 8 to 256 characters')).toBe(
      'admin.refused.passwordLength {"limits":"8–256"}',
    )
    expect(said(409, 'there is a facility NORTH already')).toContain('facilityExists')
    expect(said(403, 'nobody changes their own role or place')).toContain('refused.own')
  })

  it('is else the server’s own reason, and never that of another', () => {
    expect(said(400, "a facility's grade is one line of at most 40 characters")).toBe(
      'admin.refused.other {"detail":"a facility\'s grade is one line of at most 40 characters"}',
    )
    expect(said(404, 'there is no such user')).toContain('refused.gone')
    expect(said(503, 'The database is away')).toContain('errors.tooMany')
  })
})
