import { describe, expect, it } from 'vitest'
import { edgesOfProjection, edgesOfView, letters } from './orientation'
import { fromVoi, toVoi } from './presets'

describe('orientation letters', () => {
  it('names the axes of the patient', () => {
    expect(letters([1, 0, 0])).toBe('L')
    expect(letters([0, -1, 0])).toBe('A')
    expect(letters([0, 0, -1])).toBe('F')
    expect(letters([0.2, 0, 0.98])).toBe('HL')
  })

  it('shows an axial slice from the feet', () => {
    expect(edgesOfView([0, -1, 0], [0, 0, -1])).toEqual({ top: 'A', bottom: 'P', left: 'R', right: 'L' })
  })

  it('reads the orientation of a projection, and keeps silent when there is none', () => {
    expect(edgesOfProjection(['L', 'F'])).toEqual({ right: 'L', left: 'R', bottom: 'F', top: 'H' })
    expect(edgesOfProjection(['A\\F'])).toBeNull()
    expect(edgesOfProjection([])).toBeNull()
  })
})

describe('windows', () => {
  it('go to a range and back by the linear function of the standard', () => {
    expect(toVoi(40, 400)).toEqual({ lower: -160, upper: 239 })
    expect(fromVoi(toVoi(-600, 1500))).toEqual({ center: -600, width: 1500 })
  })
})
