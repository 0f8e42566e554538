export type Vector = readonly [number, number, number]

export interface Edges {
  top: string
  bottom: string
  left: string
  right: string
}

const MINOR_MIN = 0.1

/** The patient's directions that a vector points to, the strongest first, at most two (LPS axes). */
export function letters(vector: Vector): string {
  const axes = [
    { size: vector[0], plus: 'L', minus: 'R' },
    { size: vector[1], plus: 'P', minus: 'A' },
    { size: vector[2], plus: 'H', minus: 'F' },
  ]
  return axes
    .filter(axis => Math.abs(axis.size) >= MINOR_MIN)
    .sort((a, b) => Math.abs(b.size) - Math.abs(a.size))
    .slice(0, 2)
    .map(axis => (axis.size > 0 ? axis.plus : axis.minus))
    .join('')
}

const OPPOSITE: Record<string, string> = { L: 'R', R: 'L', A: 'P', P: 'A', H: 'F', F: 'H' }

export const opposite = (text: string): string => [...text].map(letter => OPPOSITE[letter] ?? letter).join('')

const negated = (v: Vector): Vector => [-v[0], -v[1], -v[2]]

export function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/** Letters for a picture seen with `up` at the top, the viewer standing in the direction of `towards`. */
export function edgesOfView(up: Vector, towards: Vector): Edges {
  const right = cross(up, towards)
  return {
    top: letters(up),
    bottom: letters(negated(up)),
    right: letters(right),
    left: letters(negated(right)),
  }
}

/** From Patient Orientation (0020,0020): the directions of the row and of the column. */
export function edgesOfProjection(orientation: unknown[]): Edges | null {
  const [row, column] = orientation.map(part => String(part ?? '').trim())
  if (!row || !column || !/^[LRAPHF]+$/.test(row + column)) return null
  return { right: row, left: opposite(row), bottom: column, top: opposite(column) }
}
