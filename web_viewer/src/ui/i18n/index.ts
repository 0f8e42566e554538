import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { en } from './en'
import { zh } from './zh'

export const LANGUAGES = { 'zh-CN': '中文', en: 'English' } as const
export type Language = keyof typeof LANGUAGES

const KEY = 'tongying.language'

/** What was chosen before, else the browser's; Chinese of any region reads simplified here. */
export function preferred(stored: string | null, browser: readonly string[]): Language {
  if (stored === 'zh-CN' || stored === 'en') return stored
  const first = browser.find(tag => /^(zh|en)\b/i.test(tag))
  return first?.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
}

function announce(language: string): void {
  document.documentElement.lang = language
}

export async function startLanguage(): Promise<void> {
  const language = preferred(localStorage.getItem(KEY), navigator.languages)
  i18next.on('languageChanged', announce)
  await i18next.use(initReactI18next).init({
    resources: { en: { translation: en }, 'zh-CN': { translation: zh } },
    lng: language,
    fallbackLng: 'en',
    interpolation: { escapeValue: false },
  })
}

export function chooseLanguage(language: Language): void {
  localStorage.setItem(KEY, language)
  void i18next.changeLanguage(language)
}
