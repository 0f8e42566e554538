import { Link } from '@tanstack/react-router'
import type { ReactElement, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Icon } from './icons'
import { LanguageSwitch } from './LanguageSwitch'
import { useTitle } from './useTitle'

/** The top of a page behind the study list: the way back, its title, and what it says beside that. */
export function PageBar({ title, children }: { title: string; children?: ReactNode }): ReactElement {
  const { t } = useTranslation()
  useTitle(title)
  return (
    <header className="bar">
      <Link to="/" className="button quiet">
        <Icon name="back" size={18} />
        {t('viewer.back')}
      </Link>
      <h1 className="brand">{title}</h1>
      {children}
      <span className="grow" />
      <LanguageSwitch />
    </header>
  )
}
