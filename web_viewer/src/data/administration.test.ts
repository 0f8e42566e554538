import { describe, expect, it } from 'vitest'
import type { Account, Device, Remote } from '../api/administration'
import { barOf, codesIn, isCode, madeUpPassword, remoteOf, wordsIn } from './administration'

const account = (some: Partial<Account>): Account =>
  ({ active: true, closed_until: null, ...some }) as Account

describe('what bars somebody', () => {
  const now = Date.parse('2026-03-01T03:00:00Z')

  it('is a lock that lasts still, and not one that is over', () => {
    expect(barOf(account({ closed_until: '2026-03-01T03:10:00Z' }), now)).toBe('locked')
    expect(barOf(account({ closed_until: '2026-03-01T02:50:00+00:00' }), now)).toBeNull()
    expect(barOf(account({}), now)).toBeNull()
  })

  it('is first of all that the account is disabled', () => {
    expect(barOf(account({ active: false, closed_until: '2026-03-01T03:10:00Z' }), now)).toBe('disabled')
  })
})

describe('what is typed as a list', () => {
  it('is parted by spaces and by commas of either script', () => {
    expect(codesIn(' ct, MR、us，ct ;')).toEqual(['CT', 'MR', 'US'])
    expect(wordsIn('JPEGLSLossless 1.2.840.10008.1.2')).toEqual(['JPEGLSLossless', '1.2.840.10008.1.2'])
    expect(codesIn('  ')).toEqual([])
  })
})

describe('codes', () => {
  it.each([
    ['NORTH', true],
    ['N-1_A', true],
    ['-N', false],
    ['', false],
    ['北', false],
    ['A'.repeat(17), false],
  ])('%j', (code, good) => expect(isCode(code)).toBe(good))
})

describe('the node behind a device', () => {
  const device = { facility: 'A', ae_title: 'CT1', address: '10.0.0.7/32' } as Device
  const remote = (some: Partial<Remote>): Remote =>
    ({ facility: 'A', ae_title: 'CT1', host: 'ct1.example', ...some }) as Remote

  it('has its title at its facility, and its address if there are several', () => {
    const there = remote({ host: '10.0.0.7' })
    expect(remoteOf(device, [remote({}), there])).toBe(there)
    expect(remoteOf(device, [remote({ facility: 'B' }), remote({ ae_title: 'CT2' })])).toBeNull()
  })
})

describe('a password that is made up', () => {
  it('differs each time, and has no letters that are taken for others', () => {
    const made = Array.from({ length: 200 }, madeUpPassword)
    expect(new Set(made).size).toBe(200)
    for (const one of made) expect(one).toMatch(/^([a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}$/)
  })
})
