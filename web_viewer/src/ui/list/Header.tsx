import { Link } from '@tanstack/react-router'
import { type ReactElement, type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { administers } from '../../data/administration'
import { readsAudit } from '../../data/audit'
import { reviewsPersons } from '../../data/persons'
import { mayBreakGlass, readsAlerts, useAlerts } from '../../data/sharing'
import { useMe } from '../../data/studies'
import { Brand, Icon } from '../icons'
import { LanguageSwitch } from '../LanguageSwitch'
import { signOut } from '../signOut'
import { AlertsDialog } from './AlertsDialog'
import { EmergencyDialog } from './EmergencyDialog'

/** Who is signed in, and what is open to them beside the list. */
export function Header({ searched }: { searched: string }): ReactElement {
  const { t } = useTranslation()
  const me = useMe()
  const role = me.data?.role
  return (
    <header className="bar">
      <Brand />
      <span className="grow" />
      {mayBreakGlass(role) && <Emergency searched={searched} />}
      {readsAlerts(role) && <Emergencies />}
      {reviewsPersons(role) && (
        <Link
          to="/persons"
          className="button quiet wide-only"
          data-testid="to-persons"
          title={t('persons.title')}
        >
          <Icon name="same" size={18} />
          <span className="wide-only">{t('persons.title')}</span>
        </Link>
      )}
      {administers(role) && (
        <Link to="/admin" className="button quiet" data-testid="to-admin" title={t('admin.title')}>
          <Icon name="presets" size={18} />
          <span className="wide-only">{t('admin.title')}</span>
        </Link>
      )}
      {readsAudit(role) && (
        <Link to="/audit" className="button quiet" data-testid="to-audit" title={t('audit.title')}>
          <Icon name="document" size={18} />
          <span className="wide-only">{t('audit.title')}</span>
        </Link>
      )}
      <LanguageSwitch />
      <span className="who">{me.data?.display_name ?? me.data?.user}</span>
      <button type="button" className="button quiet" onClick={signOut} title={t('signIn.signOut')}>
        <Icon name="leave" size={18} />
        <span className="wide-only">{t('signIn.signOut')}</span>
      </button>
    </header>
  )
}

function Emergency({ searched }: { searched: string }): ReactElement {
  const [open, setOpen] = useState(false)
  return (
    <>
      <Opener words="emergency.open" testId="to-emergency" onOpen={() => setOpen(true)} />
      {open && <EmergencyDialog patientId={searched} onClose={() => setOpen(false)} />}
    </>
  )
}

function Emergencies(): ReactElement {
  const { t } = useTranslation()
  const [open, setOpen] = useState(false)
  const list = useAlerts()
  return (
    <>
      <Opener words="emergency.alerts" testId="to-alerts" onOpen={() => setOpen(true)}>
        {list.waiting > 0 && (
          <b
            className="waiting-count"
            role="status"
            aria-label={t('emergency.waiting', { count: list.waiting })}
          >
            {list.waiting}
          </b>
        )}
      </Opener>
      {open && <AlertsDialog list={list} onClose={() => setOpen(false)} />}
    </>
  )
}

interface OpenerProps {
  words: 'emergency.open' | 'emergency.alerts'
  testId: string
  onOpen: () => void
  children?: ReactNode
}

function Opener({ words, testId, onOpen, children }: OpenerProps): ReactElement {
  const { t } = useTranslation()
  return (
    <button type="button" className="button quiet" onClick={onOpen} data-testid={testId} title={t(words)}>
      <Icon name="warning" size={18} />
      <span className="wide-only">{t(words)}</span>
      {children}
    </button>
  )
}
