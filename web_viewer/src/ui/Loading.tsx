import type { ReactElement } from 'react'

export function Loading({ dark = false, text }: { dark?: boolean; text?: string }): ReactElement {
  return (
    <div className={dark ? 'loading dark' : 'loading'} role="status">
      <span className="spinner" />
      {text && <p>{text}</p>}
    </div>
  )
}
