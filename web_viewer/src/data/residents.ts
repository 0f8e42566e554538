const PROVINCES = new Set(
  '11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83'.split(
    ' ',
  ),
)
const CHECKS = '10X98765432'

const FIRST_YEAR = 1850

/** A day that was or will be. */
function isDay(text: string): boolean {
  const [year, month, day] = [text.slice(0, 4), text.slice(4, 6), text.slice(6)].map(Number) as [
    number,
    number,
    number,
  ]
  return (
    year >= FIRST_YEAR &&
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
  )
}

/** A resident identity number (GB 11643-1999), as the server reads one: province, birth date, ISO 7064 MOD 11-2. */
function isResidentNumber(text: string): boolean {
  if (!/^\d{17}[\dX]$/.test(text) || !PROVINCES.has(text.slice(0, 2)) || !isDay(text.slice(6, 14)))
    return false
  const sum = [...text.slice(0, 17)].reduce((total, digit, at) => total + Number(digit) * 2 ** (17 - at), 0)
  return CHECKS[sum % 11] === text[17]
}

/** A patient ID as people see it. Some hospitals take the resident number for it: of that only the province and the
 * last two stay, as the birth date, which is a part of it, often stands beside it. */
export function shownId(id: string): string
export function shownId(id: string | null): string | null
export function shownId(id: string | null): string | null {
  const text = id?.normalize('NFKC').replace(/\s/g, '').toUpperCase() ?? ''
  return isResidentNumber(text) ? `${text.slice(0, 2)}${'*'.repeat(14)}${text.slice(-2)}` : id
}
