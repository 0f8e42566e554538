import { type FormEvent, type ReactElement, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../api/http'
import { takeReturn } from '../api/session'
import { enter, type Grant, hasProvider, providerAddress, signIn } from '../api/signIn'
import { describeError } from './describe'
import { FirstSteps } from './FirstSteps'
import { Icon, Logo } from './icons'
import { LanguageSwitch } from './LanguageSwitch'

/** Wrong credentials come as 401, or as 400 from servers that follow RFC 6749 to the letter. */
const refused = (error: Error): boolean => error instanceof ApiError && [400, 401, 422].includes(error.status)

const wantsCode = (error: Error): boolean =>
  error instanceof ApiError && error.word === 'second-factor-required'

interface Unfinished {
  grant: Grant
  password: string
  code: string
}

function entered(grant: Grant): void {
  enter(grant)
  const back = takeReturn()
  if (back) location.replace(back)
}

export function SignIn({ expired }: { expired: boolean }): ReactElement {
  const { t } = useTranslation()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const [coded, setCoded] = useState(false)
  const [unfinished, setUnfinished] = useState<Unfinished | null>(null)
  const [provider, setProvider] = useState(false)
  useEffect(() => {
    hasProvider().then(setProvider, () => setProvider(false))
  }, [])

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setError(null)
    try {
      const password = String(form.get('password'))
      const code = String(form.get('code') ?? '')
      const grant = await signIn(String(form.get('username')), password, code)
      if (grant.must) setUnfinished({ grant, password, code })
      else entered(grant)
    } catch (failure) {
      if (wantsCode(failure as Error)) setCoded(true)
      else setError(failure as Error)
      setBusy(false)
    }
  }

  if (unfinished) return <FirstSteps {...unfinished} onDone={entered} />

  const words = error
    ? refused(error)
      ? t(coded ? 'signIn.codeWrong' : 'signIn.wrong')
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
        {coded && (
          <label>
            {t('signIn.code')}
            <input name="code" data-testid="code" autoComplete="one-time-code" required />
          </label>
        )}
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
        {provider && (
          <a className="button" href={providerAddress()} data-testid="provider">
            {t('signIn.provider')}
          </a>
        )}
      </form>
    </main>
  )
}
