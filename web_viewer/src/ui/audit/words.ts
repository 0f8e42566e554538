/** As the server writes them (pacs/audit.py), in the order in which the filter lists them. */
export const ACTIONS = [
  'view',
  'export',
  'query',
  'store',
  'reject',
  'restore',
  'erase',
  'sign-in',
  'associate',
  'grant',
  'change',
  'read-trail',
  'alert',
] as const

export const OUTCOMES = ['success', 'refused', 'absent', 'failed'] as const

export type Action = (typeof ACTIONS)[number]
export type Outcome = (typeof OUTCOMES)[number]

/** What a newer server writes and this page does not know is shown as it is. */
export const isAction = (word: string): word is Action => (ACTIONS as readonly string[]).includes(word)
export const isOutcome = (word: string): word is Outcome => (OUTCOMES as readonly string[]).includes(word)
