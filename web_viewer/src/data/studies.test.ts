import { describe, expect, it } from 'vitest'
import type { Study } from '../api/types'
import { appendPage, mergeHead } from './studies'

const studies = (...uids: string[]): Study[] => uids.map(study_uid => ({ study_uid }) as Study)
const uids = (known: { studies: Study[] }): string => known.studies.map(study => study.study_uid).join('')

describe('the living list', () => {
  const first = mergeHead(null, { studies: studies('d', 'c'), next_cursor: '1' })
  const known = appendPage(first, { studies: studies('b', 'a'), next_cursor: null })

  it('keeps what a new study pushes off the first page', () => {
    const merged = mergeHead(known, { studies: studies('e', 'd'), next_cursor: '2' })
    expect(uids(merged)).toBe('edcba')
    expect(merged.next).toBeNull()
  })

  it('starts anew where there may be a gap', () => {
    const merged = mergeHead(known, { studies: studies('z', 'y'), next_cursor: '3' })
    expect(uids(merged)).toBe('zy')
    expect(merged.next).toBe('3')
  })

  it('is the first page itself when that is all there is', () => {
    expect(uids(mergeHead(known, { studies: studies('d'), next_cursor: null }))).toBe('d')
  })

  it('never lists a study twice', () => {
    expect(uids(appendPage(first, { studies: studies('c', 'b'), next_cursor: null }))).toBe('dcb')
  })
})
