import { describe, expect, it } from 'vitest'
import type { Dataset } from '../api/dicomweb'
import { lengthBetween } from './calibration'

const element = (...Value: unknown[]) => ({ vr: 'UN', Value })

describe('lengthBetween', () => {
  it('takes the row spacing first (PS3.3 10.7.1.3)', () => {
    const ct: Dataset = { '00080060': element('CT'), '00280030': element(0.5, 2) }
    expect(lengthBetween(ct, 1, [0, 0], [10, 0])).toEqual({ value: 20, unit: 'mm', note: null })
    expect(lengthBetween(ct, 1, [0, 0], [0, 10])).toEqual({ value: 5, unit: 'mm', note: null })
  })

  it('finds the spacing of an enhanced image in its functional groups', () => {
    const measures = { '00289110': element({ '00280030': element(1, 1) }) }
    const shared: Dataset = { '52009229': element(measures) }
    expect(lengthBetween(shared, 2, [0, 0], [3, 4])).toEqual({ value: 5, unit: 'mm', note: null })
  })

  it('says that a projection is measured at the detector', () => {
    const dx: Dataset = { '00080060': element('DX'), '00181164': element(0.1, 0.1) }
    expect(lengthBetween(dx, 1, [0, 0], [100, 0])).toEqual({ value: 10, unit: 'mm', note: 'detector' })
    const both: Dataset = { ...dx, '00280030': element(0.1, 0.1) }
    expect(lengthBetween(both, 1, [0, 0], [100, 0]).note).toBe('detector')
  })

  // The bar of 200 pixels in the "test support of different pixel spacing" images, and what they ask for.
  it('corrects a known magnification, and prefers a calibration', () => {
    const mammography: Dataset = {
      '00080060': element('MG'),
      '00181164': element(0.5, 0.5),
      '00181114': element(1.5),
    }
    const corrected = lengthBetween(mammography, 1, [0, 0], [200, 0])
    expect(corrected.value).toBeCloseTo(66.67, 1)
    expect(corrected.note).toBe('magnified')
    const calibrated: Dataset = {
      ...mammography,
      '00280030': element(0.25, 0.25),
      '00280A02': element('FIDUCIAL'),
    }
    expect(lengthBetween(calibrated, 1, [0, 0], [200, 0])).toEqual({
      value: 50,
      unit: 'mm',
      note: 'calibrated',
    })
  })

  it('measures within an ultrasound region, and not across its edge', () => {
    const region = {
      '00186018': element(0),
      '0018601A': element(0),
      '0018601C': element(100),
      '0018601E': element(100),
      '00186024': element(3),
      '00186026': element(3),
      '0018602C': element(0.02),
      '0018602E': element(0.02),
    }
    const us: Dataset = { '00080060': element('US'), '00186011': element(region) }
    const inside = lengthBetween(us, 1, [10, 10], [60, 10])
    expect(inside.value).toBeCloseTo(10)
    expect(inside).toMatchObject({ unit: 'mm', note: 'region' })
    expect(lengthBetween(us, 1, [10, 10], [160, 10]).unit).toBe('px')
  })

  it('never invents millimetres', () => {
    expect(lengthBetween({}, 1, [0, 0], [3, 4])).toEqual({ value: 5, unit: 'px', note: null })
    expect(lengthBetween({ '00280030': element(0, 0) }, 1, [0, 0], [3, 4]).unit).toBe('px')
  })
})
