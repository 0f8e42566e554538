import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Decision, Review, SeenPatient } from '../../api/persons'
import { Icon } from '../icons'
import { type Field, shownFields } from './fields'

const WHY_CHARACTERS_MAX = 200
const DECIDED = { accept: 'accepted', refuse: 'refused' } as const

interface Props {
  review: Review
  busy: boolean
  onDecide: (decision: Decision, why: string) => void
}

/** Two patients beside each other, what differs marked, and the question. */
export function ReviewCard({ review, busy, onDecide }: Props): ReactElement {
  const { t } = useTranslation()
  const [why, setWhy] = useState('')
  const fields = shownFields(review, t)
  const asked = (['refuse', 'accept'] as const).filter(one => review.state !== DECIDED[one])
  return (
    <article className="review" data-testid="review">
      <Facts review={review} fields={fields} />
      <footer>
        <p className="review-evidence" title={t('persons.bitsText')}>
          {review.bits !== null && t('persons.bits', { count: Math.round(review.bits) })}
          <small>{review.why}</small>
          {review.decided_by && <small>{t('persons.by', { who: review.decided_by })}</small>}
        </p>
        {asked.includes('accept') && (
          <input
            className="field"
            aria-label={t('persons.why')}
            placeholder={t('persons.why')}
            maxLength={WHY_CHARACTERS_MAX}
            value={why}
            onChange={event => setWhy(event.target.value)}
          />
        )}
        {asked.map(decision => (
          <button
            key={decision}
            type="button"
            className="button"
            disabled={busy}
            data-testid={`review-${decision}`}
            onClick={() => onDecide(decision, why)}
          >
            {t(`persons.${decision}`)}
          </button>
        ))}
      </footer>
    </article>
  )
}

function Facts({ review, fields }: { review: Review; fields: Field[] }): ReactElement {
  const { t } = useTranslation()
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{t('persons.field')}</th>
          <Heading patient={review.low} />
          <Heading patient={review.high} />
        </tr>
      </thead>
      <tbody>
        {fields.map(field => (
          <tr key={field.name} className={field.differ ? 'differ' : ''}>
            <th scope="row">
              {t(`persons.fields.${field.name}`)}
              {field.differ && <small>{t('persons.differ')}</small>}
            </th>
            <td>{field.low || '–'}</td>
            <td>{field.high || '–'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Heading({ patient }: { patient: SeenPatient }): ReactElement {
  const { t } = useTranslation()
  return (
    <th scope="col">
      {patient.facility}
      {patient.reused && (
        <span title={t('persons.reused')}>
          <Icon name="warning" size={16} />
        </span>
      )}
    </th>
  )
}
