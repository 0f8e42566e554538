import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { chooseLanguage, LANGUAGES, type Language } from './i18n'
import { Icon } from './icons'

export function LanguageSwitch(): ReactElement {
  const { t, i18n } = useTranslation()
  return (
    <label className="language">
      <Icon name="globe" size={18} />
      <span className="visually-hidden">{t('language')}</span>
      <select
        data-testid="language"
        value={i18n.language}
        onChange={event => chooseLanguage(event.target.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([code, name]) => (
          <option key={code} value={code}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}
