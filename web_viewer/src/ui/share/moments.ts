/** A moment (ISO 8601) in the reader's own time, to the minute. */
export const momentText = (moment: string, language: string): string =>
  new Date(moment).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' })

/** The same of what is today: the time alone. */
export const timeText = (moment: string, language: string): string =>
  new Date(moment).toLocaleTimeString(language, { timeStyle: 'short' })
