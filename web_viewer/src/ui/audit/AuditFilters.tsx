import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { AuditFilter } from '../../api/audit'
import { ACTIONS, OUTCOMES } from './words'

interface Props {
  filter: AuditFilter
  onChange: (changes: Partial<AuditFilter>) => void
}

export function AuditFilters({ filter, onChange }: Props): ReactElement {
  const { t } = useTranslation()
  const text = (name: 'who' | 'patient') => (
    <input
      type="search"
      className="field"
      data-testid={`audit-${name}`}
      aria-label={t(`audit.${name}`)}
      placeholder={t(`audit.${name}`)}
      value={filter[name]}
      maxLength={64}
      spellCheck={false}
      autoComplete="off"
      onChange={event => onChange({ [name]: event.target.value })}
    />
  )
  const day = (name: 'from' | 'to') => (
    <input
      type="date"
      className="field"
      aria-label={t(`list.${name}`)}
      value={filter[name]}
      onChange={event => onChange({ [name]: event.target.value })}
    />
  )
  return (
    <search className="filters audit-filters">
      {text('who')}
      {text('patient')}
      <select
        className="field"
        data-testid="audit-action"
        aria-label={t('audit.action')}
        value={filter.action}
        onChange={event => onChange({ action: event.target.value })}
      >
        <option value="">{t('audit.allActions')}</option>
        {ACTIONS.map(action => (
          <option key={action} value={action}>
            {t(`audit.actions.${action}`)}
          </option>
        ))}
      </select>
      <select
        className="field"
        aria-label={t('audit.outcome')}
        value={filter.outcome}
        onChange={event => onChange({ outcome: event.target.value })}
      >
        <option value="">{t('audit.allOutcomes')}</option>
        {OUTCOMES.map(outcome => (
          <option key={outcome} value={outcome}>
            {t(`audit.outcomes.${outcome}`)}
          </option>
        ))}
      </select>
      <span className="range">
        {day('from')}
        <span aria-hidden="true">–</span>
        {day('to')}
      </span>
    </search>
  )
}
