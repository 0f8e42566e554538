import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Alert } from '../../api/sharing'
import { shownId } from '../../data/residents'
import type { Alerts } from '../../data/sharing'
import { Dialog } from '../Dialog'
import { describeError } from '../describe'
import '../styles/emergency.css'

/** Emergencies at the own hospital's patients, for its administrators and auditors. */
export function AlertsDialog({ list, onClose }: { list: Alerts; onClose: () => void }): ReactElement {
  const { t } = useTranslation()
  return (
    <Dialog
      className="emergency"
      testId="alerts"
      title={t('emergency.alerts')}
      icon="warning"
      onClose={onClose}
    >
      <p>{t('emergency.alertsText')}</p>
      {list.error && <p className="emergency-error">{describeError(list.error, t)}</p>}
      {!list.loading && list.alerts.length === 0 && <p>{t('emergency.none')}</p>}
      <ul className="alerts">
        {list.alerts.map(one => (
          <Row key={one.id} alert={one} onNote={() => list.note(one.id)} />
        ))}
      </ul>
      {list.hasMore && (
        <button type="button" className="button" onClick={list.loadMore}>
          {t('emergency.loadMore')}
        </button>
      )}
    </Dialog>
  )
}

function Row({ alert, onNote }: { alert: Alert; onNote: () => void }): ReactElement {
  const { t, i18n } = useTranslation()
  const said = (moment: string) =>
    new Date(moment).toLocaleString(i18n.language, { dateStyle: 'short', timeStyle: 'short' })
  const patient = [alert.facility, alert.issuer, shownId(alert.patient_id)].filter(Boolean).join(' / ')
  return (
    <li data-testid="alert" className={alert.noted_at ? '' : 'waiting'}>
      <p>
        <b>{alert.made_by}</b>
        <span>{said(alert.since)}</span>
        <span className="grow">{patient}</span>
      </p>
      <p className="alert-reason">{alert.reason}</p>
      {alert.noted_at ? (
        <small>{t('emergency.noted', { who: alert.noted_by, at: said(alert.noted_at) })}</small>
      ) : (
        <button type="button" className="button" onClick={onNote} data-testid="alert-note">
          {t('emergency.note')}
        </button>
      )}
    </li>
  )
}
