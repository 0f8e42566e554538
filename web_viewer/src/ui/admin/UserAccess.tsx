import type { ReactElement, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import {
  type Account,
  changeAccount,
  endSessions,
  forgetFactor,
  givePassword,
  unlock,
} from '../../api/administration'
import { barOf, madeUpPassword, useChange } from '../../data/administration'
import { timeText } from '../share/moments'
import { Refused } from './Form'
import { Sure } from './fields'

interface Props {
  account: Account
  /** One's own password and factor are changed elsewhere, with the password; nobody disables themselves. */
  mine: boolean
  onGiven: (password: string) => void
}

/** How somebody signs in, and what an administrator does about it. */
export function UserAccess({ account, mine, onGiven }: Props): ReactElement {
  const { t, i18n } = useTranslation()
  const { name } = account
  const act = useChange((make: () => Promise<void>) => make())
  const give = useChange(async (password: string) => {
    await givePassword(name, password)
    onGiven(password)
  })
  const until = account.closed_until ? timeText(account.closed_until, i18n.language) : ''
  const busy = act.isPending || give.isPending
  return (
    <section className="form-rest">
      <h3>{t('admin.users.account')}</h3>
      {barOf(account) === 'locked' && (
        <Line text={t('admin.users.lockedText', { until })} bad>
          <Sure
            words={t('admin.users.unlock')}
            testId="unlock"
            disabled={busy}
            onSure={() => act.mutate(() => unlock(name))}
          />
        </Line>
      )}
      <Line
        text={
          account.sessions
            ? t('admin.users.sessions', { count: account.sessions })
            : t('admin.users.noSessions')
        }
      >
        {account.sessions > 0 && (
          <Sure
            words={t('admin.users.end')}
            question={t('admin.users.endSure')}
            testId="end-sessions"
            disabled={busy}
            onSure={() => act.mutate(() => endSessions(name))}
          />
        )}
      </Line>
      <Line text={t(account.second_factor ? 'admin.users.factorOn' : 'admin.users.factorOff')}>
        {account.second_factor && !mine && (
          <Sure
            words={t('admin.users.reset')}
            question={t('admin.users.resetSure')}
            testId="reset-factor"
            disabled={busy}
            onSure={() => act.mutate(() => forgetFactor(name))}
          />
        )}
      </Line>
      {!mine && (
        <>
          <Line text={t(account.must_change ? 'admin.users.mustChangeText' : 'admin.users.passwordText')}>
            <Sure
              words={t('admin.users.give')}
              question={t('admin.users.giveSure')}
              testId="give-password"
              disabled={busy}
              onSure={() => give.mutate(madeUpPassword())}
            />
          </Line>
          <Line
            text={t(account.active ? 'admin.users.activeText' : 'admin.users.disabledText')}
            bad={!account.active}
          >
            {account.active ? (
              <Sure
                words={t('admin.users.disable')}
                question={t('admin.users.disableSure')}
                testId="disable"
                disabled={busy}
                onSure={() => act.mutate(() => changeAccount(name, { active: false }))}
              />
            ) : (
              <Sure
                words={t('admin.users.enable')}
                testId="enable"
                disabled={busy}
                onSure={() => act.mutate(() => changeAccount(name, { active: true }))}
              />
            )}
          </Line>
        </>
      )}
      <Refused error={act.error ?? give.error} />
    </section>
  )
}

function Line({
  text,
  bad = false,
  children,
}: {
  text: string
  bad?: boolean
  children?: ReactNode
}): ReactElement {
  return (
    <div className="form-line">
      <span className={bad ? 'grow bad' : 'grow'}>{text}</span>
      {children}
    </div>
  )
}
