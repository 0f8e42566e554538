import { type ReactElement, type ReactNode, useId, useLayoutEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { Icon, type IconName } from './icons'
import './styles/dialog.css'

interface Props {
  /** Its class, and its name for tests. */
  className: string
  testId: string
  title: string
  icon?: IconName
  onClose: () => void
  children: ReactNode
}

/** A modal dialog with a title and a way out. */
export function Dialog({ className, testId, title, icon, onClose, children }: Props): ReactElement {
  const { t } = useTranslation()
  const dialog = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  // Closed while it is still in the page: so the browser gives the focus back to where it was.
  useLayoutEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    return () => shown?.close()
  }, [])
  return (
    <dialog
      ref={dialog}
      className={`dialog ${className}`}
      onClose={onClose}
      aria-labelledby={titleId}
      data-testid={testId}
    >
      <header>
        {icon && <Icon name={icon} size={24} />}
        <h2 id={titleId}>{title}</h2>
        <button type="button" className="icon-button" aria-label={t('help.close')} onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  )
}
