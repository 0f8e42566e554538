import { expect, test } from 'vitest'
import { shownId } from './residents'

test('a resident number is masked, as the server masks it', () => {
  expect(shownId('330203198807154522')).toBe('33**************22')
  expect(shownId('11010519491231002x')).toBe('11**************2X')
  expect(shownId(' 330203 19880715 4522 ')).toBe('33**************22')
  expect(shownId('１１０１０５１９４９１２３１００２Ｘ')).toBe('11**************2X')
})

test('any other ID is shown as it is', () => {
  const ids = [
    '330203198813154529',
    '330203178807154524',
    '330203198702294529',
    '330203198807154521',
    '990203198807154522',
    '33020319880715452',
    'ZY 0012345',
    '',
    '１２３',
  ]
  for (const id of ids) expect(shownId(id)).toBe(id)
  expect(shownId(null)).toBeNull()
})
