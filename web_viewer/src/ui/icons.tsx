import type { ReactElement } from 'react'

/** Drawn on a 20 px grid with a 1.5 px line. */
const PATHS = {
  scroll: 'M5 4h10M5 16h10M6.5 7.5h7v5h-7zM17.5 8v4M16.3 10.8l1.2 1.2 1.2-1.2M16.3 9.2 17.5 8l1.2 1.2',
  windowLevel: 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 3v14M10 6h4.9M10 10h7M10 14h4.9',
  zoom: 'M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4M6.8 9h4.4M9 6.8v4.4',
  pan: 'M10 2.5v15M2.5 10h15M7.8 4.7 10 2.5l2.2 2.2M7.8 15.3l2.2 2.2 2.2-2.2M4.7 7.8 2.5 10l2.2 2.2M15.3 7.8l2.2 2.2-2.2 2.2',
  length: 'M3.5 16.5l13-13M2.2 13.8l4 4M13.8 2.2l4 4M7.2 11l1.8 1.8M10 8.2l1.8 1.8',
  reset: 'M4 10a6 6 0 1 0 2-4.5M6.2 2.5v3.3h3.3',
  invert: 'M3.5 3.5h13v13h-13zM3.5 16.5l13-13',
  presets: 'M3 5h8M15 5h2M3 10h2M9 10h8M3 15h6M13 15h4M13 3.2v3.6M7 8.2v3.6M11 13.2v3.6',
  clear: 'M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.8 11h7.4l.8-11M8.5 8.5v5M11.5 8.5v5',
  reject: 'M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4zM4.9 4.9l10.2 10.2',
  help: 'M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4zM7.9 8a2.1 2.1 0 1 1 3 1.9c-.6.3-.9.7-.9 1.4M10 13.6v.2',
  play: 'M6 4l10 6-10 6z',
  pause: 'M6.5 4v12M13.5 4v12',
  slower: 'M15.5 5l-5 5 5 5M9.5 5l-5 5 5 5',
  faster: 'M4.5 5l5 5-5 5M10.5 5l5 5-5 5',
  back: 'M12.5 4l-6 6 6 6',
  search: 'M9 3.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM13 13l4 4',
  close: 'M5 5l10 10M15 5L5 15',
  leave: 'M8 3.5H4v13h4M8.5 10h8.5M14 7l3 3-3 3',
  share: 'M6 10h7M10.5 7.5 13 10l-2.5 2.5M15 4v12M8.5 4H4v12h4.5',
  elsewhere: 'M8.5 4H4v12h12v-4.5M11.5 4H16v4.5M16 4l-7 7',
  globe:
    'M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4zM2.8 10h14.4M10 2.8c4.4 4.6 4.4 9.8 0 14.4M10 2.8c-4.4 4.6-4.4 9.8 0 14.4',
  warning: 'M10 3.2 2.6 16.2h14.8zM10 8.2v3.8M10 14v.2',
  inbox: 'M3 11.5 5.5 4h9l2.5 7.5v4.5H3zM3 11.5h4.2l1 2h3.6l1-2H17',
  document: 'M5 2.8h6.5L15 6.3v10.9H5zM11.5 2.8v3.5H15M7.5 10h5M7.5 13h5',
  same: 'M7.5 4.5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM2.5 16c.6-2.7 2.6-4 5-4s4.4 1.3 5 4M12.5 4.8a3 3 0 0 1 0 5.4M14.2 12.5c1.7.5 2.9 1.7 3.3 3.5',
  layoutOne: 'M3.5 3.5h13v13h-13z',
  layoutTwo: 'M3.5 3.5h13v13h-13zM10 3.5v13',
  layoutFour: 'M3.5 3.5h13v13h-13zM10 3.5v13M3.5 10h13',
  calendar: 'M3.5 4.5h13v12h-13zM3.5 8h13M7 2.8v3M13 2.8v3',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): ReactElement {
  return (
    <svg className="icon" viewBox="0 0 20 20" width={size} height={size} aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  )
}

export function Logo({ size = 32 }: { size?: number }): ReactElement {
  return (
    <svg viewBox="0 0 32 32" width={size} height={size} aria-hidden="true" focusable="false" className="logo">
      <rect width="32" height="32" rx="8" />
      <path d="M16 6a10 10 0 1 1-7.07 2.93M16 11a5 5 0 1 1-3.54 1.46" />
      <circle cx="16" cy="16" r="1.8" />
    </svg>
  )
}

/** The logo and the name, at the left of a bar. */
export function Brand(): ReactElement {
  return (
    <>
      <Logo size={30} />
      <p className="brand">
        通影 <span>Tongying</span>
      </p>
    </>
  )
}
