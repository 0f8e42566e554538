import { describe, expect, it } from 'vitest'
import type { Dataset } from '../api/dicomweb'
import { reportOf } from './report'

const element = (...Value: unknown[]) => ({ vr: 'UN', Value })
const coded = (meaning: string, code = 'x') =>
  element({ '00080100': element(code), '00080104': element(meaning) })

describe('reportOf', () => {
  it('reads texts, codes, numbers with their units, and nested containers', () => {
    const length: Dataset = {
      '0040A040': element('NUM'),
      '0040A043': coded('Length'),
      '0040A300': element({ '0040A30A': element('12.5'), '004008EA': coded('millimeter', 'mm') }),
    }
    const finding: Dataset = {
      '0040A040': element('CODE'),
      '0040A043': coded('Finding'),
      '0040A168': coded('Nodule'),
      '0040A730': element(length),
    }
    const words: Dataset = {
      '0040A040': element('TEXT'),
      '0040A043': coded('Conclusion'),
      '0040A160': element('None.'),
    }
    const report: Dataset = { '0040A043': coded('Report'), '0040A730': element(finding, words) }
    expect(reportOf(report)).toEqual({
      name: 'Report',
      value: null,
      children: [
        { name: 'Finding', value: 'Nodule', children: [{ name: 'Length', value: '12.5 mm', children: [] }] },
        { name: 'Conclusion', value: 'None.', children: [] },
      ],
    })
  })

  it('is null for what is no report', () => {
    expect(reportOf({})).toBeNull()
  })
})
