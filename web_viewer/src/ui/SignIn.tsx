import { type FormEvent, type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../api/http'
import { signIn } from '../api/portal'
import { takeReturn } from '../api/session'
import { describeError } from './describe'
import { Icon, Logo } from './icons'
import { LanguageSwitch } from './LanguageSwitch'

/** Wrong credentials come as 401, or as 400 from servers that follow RFC 6749 to the letter. */
const refused = (error: Error): boolean => error instanceof ApiError && [400, 401, 422].includes(error.status)

export function SignIn({ expired }: { expired: boolean }): ReactElement {
  const { t } = useTranslation()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setError(null)
    try {
      await signIn(String(form.get('username')), String(form.get('password')))
      const back = takeReturn()
      if (back) location.replace(back)
    } catch (failure) {
      setError(failure as Error)
      setBusy(false)
    }
  }

  const words = error
    ? refused(error)
      ? t('signIn.wrong')
      : describeError(error, t)
    : expired
      ? t('signIn.expired')
      : null
  return (
    <main className="sign-in">
      <div className="sign-in-language">
        <LanguageSwitch />
      </div>
      <form onSubmit={submit} aria-labelledby="sign-in-name">
        <Logo size={56} />
        <h1 id="sign-in-name">
          通影 <span>Tongying</span>
        </h1>
        <p className="tagline">{t('tagline')}</p>
        <label>
          {t('signIn.username')}
          <input
            name="username"
            data-testid="username"
            autoComplete="username"
            autoCapitalize="none"
            required
          />
        </label>
        <label>
          {t('signIn.password')}
          <input
            name="password"
            type="password"
            data-testid="password"
            autoComplete="current-password"
            required
          />
        </label>
        <div className="sign-in-message" role="alert">
          {words && (
            <p>
              <Icon name="warning" size={16} /> {words}
            </p>
          )}
        </div>
        <button type="submit" className="button primary" data-testid="sign-in" disabled={busy}>
          {busy ? t('signIn.busy') : t('signIn.submit')}
        </button>
      </form>
    </main>
  )
}
