export const TABS = ['users', 'facilities', 'devices', 'bin'] as const
export type Tab = (typeof TABS)[number]

/** Of the address; without one the users are shown. */
export function tabOf(search: Record<string, unknown>): { tab?: Tab } {
  const tab = TABS.find(one => one === search.tab)
  return tab ? { tab } : {}
}
