const PROVINCES = new Set(
  '11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83'.split(
    ' ',
  ),
)
const CHECKS = '10X98765432'

/** A resident identity number (GB 11643-1999): 18 characters of which the last is an ISO 7064 MOD 11-2 check. */
function isResidentNumber(text: string): boolean {
  if (!/^\d{17}[\dX]$/.test(text) || !PROVINCES.has(text.slice(0, 2))) return false
  const sum = [...text.slice(0, 17)].reduce((total, digit, at) => total + Number(digit) * 2 ** (17 - at), 0)
  return CHECKS[sum % 11] === text[17]
}

/** A patient ID as people see it. Some hospitals take the resident number for it: of that only the province and the
 * last two stay, as the birth date, which is a part of it, often stands beside it. */
export function shownId(id: string): string
export function shownId(id: string | null): string | null
export function shownId(id: string | null): string | null {
  const text = id?.replace(/\s/g, '').toUpperCase() ?? ''
  return isResidentNumber(text) ? `${text.slice(0, 2)}${'*'.repeat(14)}${text.slice(-2)}` : id
}
