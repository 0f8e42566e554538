import { type FormEvent, type ReactElement, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  type Confirmed,
  changePassword,
  confirmFactor,
  type Enrolment,
  enrol,
  type Grant,
} from '../api/signIn'
import { describeError } from './describe'
import { Icon } from './icons'

interface Props {
  grant: Grant
  password: string
  code: string
  onDone: (grant: Grant) => void
}

/** What somebody must do before the archive opens: choose a password, enrol a second factor. */
export function FirstSteps({ grant, password, code, onDone }: Props): ReactElement {
  const [now, setNow] = useState({ grant, password })
  const next = (granted: Grant, chosen: string): void =>
    granted.must ? setNow({ grant: granted, password: chosen }) : onDone(granted)
  return (
    <main className="sign-in">
      {now.grant.must === 'password' ? (
        <Choose {...now} code={code} onChosen={next} />
      ) : (
        <Enrol {...now} onDone={onDone} />
      )}
    </main>
  )
}

interface ChooseProps extends Omit<Props, 'onDone'> {
  onChosen: (grant: Grant, password: string) => void
}

function Choose({ grant, password, code, onChosen }: ChooseProps): ReactElement {
  const { t } = useTranslation()
  const [words, setWords] = useState<string | null>(null)

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const chosen = String(form.get('new'))
    if (chosen !== String(form.get('again'))) return setWords(t('signIn.differ'))
    try {
      onChosen(await changePassword(grant, password, chosen, code), chosen)
    } catch (failure) {
      setWords((failure as Error).message)
    }
  }

  return (
    <form onSubmit={submit}>
      <p className="tagline">{t('signIn.choose')}</p>
      <label>
        {t('signIn.newPassword')}
        <input name="new" type="password" data-testid="new-password" autoComplete="new-password" required />
      </label>
      <label>
        {t('signIn.again')}
        <input name="again" type="password" data-testid="again" autoComplete="new-password" required />
      </label>
      <Message words={words} />
      <Continue />
    </form>
  )
}

function Enrol({ grant, password, onDone }: Omit<Props, 'code'>): ReactElement {
  const { t } = useTranslation()
  const [enrolment, setEnrolment] = useState<Enrolment | null>(null)
  const [confirmed, setConfirmed] = useState<Confirmed | null>(null)
  const [words, setWords] = useState<string | null>(null)
  useEffect(() => {
    enrol(grant, password).then(setEnrolment, failure => setWords(describeError(failure as Error, t)))
  }, [grant, password, t])

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    if (confirmed) return onDone(confirmed.token)
    try {
      setConfirmed(await confirmFactor(grant, String(new FormData(event.currentTarget).get('code'))))
      setWords(null)
    } catch {
      setWords(t('signIn.codeWrong'))
    }
  }

  return (
    <form onSubmit={submit}>
      <p className="tagline">{t(confirmed ? 'signIn.recovery' : 'signIn.enrol')}</p>
      {confirmed ? (
        <pre data-testid="recovery-codes">{confirmed.recovery_codes.join('\n')}</pre>
      ) : (
        enrolment && <Secret enrolment={enrolment} />
      )}
      <Message words={words} />
      <Continue />
    </form>
  )
}

function Secret({ enrolment }: { enrolment: Enrolment }): ReactElement {
  const { t } = useTranslation()
  const picture = `data:image/svg+xml,${encodeURIComponent(enrolment.qr)}`
  return (
    <>
      <img src={picture} alt={enrolment.uri} width={220} height={220} />
      <p>
        {t('signIn.secret')} <code data-testid="secret">{enrolment.secret}</code>
      </p>
      <label>
        {t('signIn.code')}
        <input name="code" data-testid="code" autoComplete="one-time-code" required />
      </label>
    </>
  )
}

function Message({ words }: { words: string | null }): ReactElement {
  return (
    <div className="sign-in-message" role="alert">
      {words && (
        <p>
          <Icon name="warning" size={16} /> {words}
        </p>
      )}
    </div>
  )
}

function Continue(): ReactElement {
  const { t } = useTranslation()
  return (
    <button type="submit" className="button primary" data-testid="go-on">
      {t('signIn.goOn')}
    </button>
  )
}
