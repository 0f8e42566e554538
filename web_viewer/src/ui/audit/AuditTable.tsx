import { Link } from '@tanstack/react-router'
import { memo, type ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { AuditEntry, Subject } from '../../api/audit'
import { shownId } from '../../data/residents'
import { isAction, isOutcome } from './words'

const COLUMNS = ['at', 'who', 'action', 'outcome', 'whom', 'asked', 'where'] as const

/** One entry; the study that it is about can be opened by who may see it. */
const Row = memo(function Row({ entry }: { entry: AuditEntry }): ReactElement {
  const { t, i18n } = useTranslation()
  const { action, outcome } = entry
  return (
    <tr data-testid="audit-row" data-action={action} className={outcome === 'success' ? '' : 'not-done'}>
      <td className="nowrap" title={`#${entry.position}`}>
        {new Date(entry.at).toLocaleString(i18n.language, { dateStyle: 'short', timeStyle: 'medium' })}
      </td>
      <td>
        <b>{entry.who ?? '–'}</b>
        <small>{[entry.role, entry.facility, entry.purpose].filter(Boolean).join(' · ')}</small>
      </td>
      <td>{isAction(action) ? t(`audit.actions.${action}`) : action}</td>
      <td>{isOutcome(outcome) ? t(`audit.outcomes.${outcome}`) : outcome}</td>
      <td>
        {entry.subjects.map(named).filter(Boolean).join(', ')}
        {entry.studies.slice(0, 3).map(uid => (
          <Link key={uid} to="/study/$studyUid" params={{ studyUid: uid }} className="audit-study">
            …{uid.slice(-12)}
          </Link>
        ))}
      </td>
      <td className="asked">{entry.asked}</td>
      <td className="nowrap">
        {entry.address}
        <small>{entry.ae_title}</small>
      </td>
    </tr>
  )
})

const named = (subject: Subject): string =>
  [subject.facility, subject.issuer, shownId(subject.patient_id)].filter(Boolean).join(' / ')

export function AuditTable({ entries }: { entries: AuditEntry[] }): ReactElement {
  const { t } = useTranslation()
  return (
    <table className="audit-table">
      <thead>
        <tr>
          {COLUMNS.map(name => (
            <th key={name} scope="col">
              {t(`audit.${name}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {entries.map(entry => (
          <Row key={entry.position} entry={entry} />
        ))}
      </tbody>
    </table>
  )
}
