import type { Dataset } from '../api/dicomweb'
import { items, personName, text } from './dicom'

/** One content item of a structured report (PS3.3 C.17.3), ready to be read. */
export interface ReportNode {
  name: string | null
  value: string | null
  children: ReportNode[]
}

const NODES_MAX = 3000
const DEPTH_MAX = 24

const TAGS = {
  content: '0040A730',
  valueType: '0040A040',
  conceptName: '0040A043',
  meaning: '00080104',
  codeValue: '00080100',
  text: '0040A160',
  conceptCode: '0040A168',
  measured: '0040A300',
  numeric: '0040A30A',
  units: '004008EA',
  person: '0040A123',
  dateTime: '0040A120',
  date: '0040A121',
  time: '0040A122',
  uid: '0040A124',
  references: '00081199',
  referencedUid: '00081155',
} as const

const meaning = (dataset: Dataset | undefined, tag: string): string | null =>
  text(items(dataset, tag)[0], TAGS.meaning)

function measurement(item: Dataset): string | null {
  const measured = items(item, TAGS.measured)[0]
  const value = text(measured, TAGS.numeric)
  // The unit's code is UCUM, as short as a reader wants it; "1" is no unit, braces hold a remark.
  const unit = text(items(measured, TAGS.units)[0], TAGS.codeValue)
  return value && unit && unit !== '1' ? `${value} ${unit.replace(/[{}]/g, '')}` : value
}

const READERS: Record<string, (item: Dataset) => string | null> = {
  TEXT: item => text(item, TAGS.text),
  CODE: item => meaning(item, TAGS.conceptCode),
  NUM: measurement,
  PNAME: item => {
    const { alphabetic, ideographic } = personName(item, TAGS.person)
    return ideographic ?? alphabetic
  },
  DATETIME: item => text(item, TAGS.dateTime),
  DATE: item => text(item, TAGS.date),
  TIME: item => text(item, TAGS.time),
  UIDREF: item => text(item, TAGS.uid),
  IMAGE: item => text(items(item, TAGS.references)[0], TAGS.referencedUid),
  COMPOSITE: item => text(items(item, TAGS.references)[0], TAGS.referencedUid),
}

function read(item: Dataset, depth: number, budget: { left: number }): ReportNode {
  const children: ReportNode[] = []
  for (const child of depth < DEPTH_MAX ? items(item, TAGS.content) : []) {
    if (budget.left-- <= 0) break
    const node = read(child, depth + 1, budget)
    if (node.name || node.value || node.children.length > 0) children.push(node)
  }
  const value = READERS[text(item, TAGS.valueType) ?? '']?.(item) ?? null
  return { name: meaning(item, TAGS.conceptName), value, children }
}

/** The tree of a report; null for what is none. */
export function reportOf(dataset: Dataset): ReportNode | null {
  return items(dataset, TAGS.content).length > 0 ? read(dataset, 0, { left: NODES_MAX }) : null
}
