import { useRouter } from '@tanstack/react-router'
import { type FormEvent, type ReactElement, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../../api/http'
import { fetchShared, type HeldLink, openLink } from '../../api/shareLinks'
import { describeError } from '../describe'
import { Icon, Logo } from '../icons'
import { LanguageSwitch } from '../LanguageSwitch'

/** Where a patient comes in: at once, or with the code that the hospital told. */
export function OpenLink({ held }: { held: HeldLink | null }): ReactElement {
  const { t } = useTranslation()
  const router = useRouter()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const begun = useRef(false)
  const asks = held?.coded ?? false

  async function open(link: HeldLink, code: string): Promise<void> {
    setBusy(true)
    setError(null)
    try {
      await openLink(link, code)
      const { studies } = await fetchShared()
      const [only] = studies
      if (only && studies.length === 1) {
        await router.navigate({ to: '/study/$studyUid', params: { studyUid: only }, replace: true })
      } else await router.navigate({ to: '/shared', replace: true })
    } catch (failure) {
      setError(failure as Error)
      setBusy(false)
    }
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: once for a link
  useEffect(() => {
    if (!held || asks || begun.current) return
    begun.current = true
    void open(held, '')
  }, [held, asks])

  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault()
    if (held) void open(held, String(new FormData(event.currentTarget).get('code') ?? ''))
  }

  return (
    <main className="sign-in">
      <div className="sign-in-language">
        <LanguageSwitch />
      </div>
      <form onSubmit={submit} data-testid="open-link">
        <Logo size={56} />
        <h1>
          通影 <span>Tongying</span>
        </h1>
        {asks && <Code />}
        <div className="sign-in-message" role="alert">
          {(error || !held) && (
            <p>
              <Icon name="warning" size={16} /> {error ? words(error, t) : t('share.over')}
            </p>
          )}
        </div>
        {asks && (
          <button type="submit" className="button primary" data-testid="open-shared" disabled={busy}>
            {t(busy ? 'share.opening' : 'share.show')}
          </button>
        )}
        {!asks && busy && <p className="tagline">{t('share.opening')}</p>}
      </form>
    </main>
  )
}

function Code(): ReactElement {
  const { t } = useTranslation()
  return (
    <label>
      {t('share.enterCode')}
      <input
        name="code"
        data-testid="link-code"
        inputMode="numeric"
        autoComplete="one-time-code"
        maxLength={20}
        required
      />
    </label>
  )
}

function words(error: Error, t: ReturnType<typeof useTranslation>['t']): string {
  if (error instanceof ApiError && [400, 401].includes(error.status)) return t('share.wrong')
  if (error instanceof ApiError && error.status === 429) return t('share.wait')
  return describeError(error, t)
}
