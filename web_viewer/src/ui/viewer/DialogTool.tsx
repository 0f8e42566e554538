import { type ReactElement, Suspense, useState } from 'react'
import { Icon, type IconName } from '../icons'

interface Props {
  testId: string
  icon: IconName
  words: string
  hint: string
  /** What it opens; its code may come when it is opened first. */
  dialog: (onClose: () => void) => ReactElement
}

/** A tool of the bar that opens a dialog. */
export function DialogTool({ testId, icon, words, hint, dialog }: Props): ReactElement {
  const [open, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="tool" data-testid={testId} title={hint} onClick={() => setOpen(true)}>
        <Icon name={icon} />
        <span>{words}</span>
      </button>
      {open && <Suspense>{dialog(() => setOpen(false))}</Suspense>}
    </>
  )
}
