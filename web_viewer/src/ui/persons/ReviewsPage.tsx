import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { ReviewState } from '../../api/persons'
import { useReviews } from '../../data/persons'
import { ErrorState } from '../list/states'
import { PageBar } from '../PageBar'
import '../styles/persons.css'
import { ReviewCard } from './ReviewCard'

const STATES: ReviewState[] = ['open', 'accepted', 'refused']

/** Pairs of patients of whom comparison could not say whether they are one person, for administrators. */
export function ReviewsPage(): ReactElement {
  const { t } = useTranslation()
  const [state, setState] = useState<ReviewState>('open')
  const list = useReviews(state)
  return (
    <div className="reviews-page">
      <PageBar title={t('persons.title')} />
      <main>
        <p className="reviews-text">{t('persons.text')}</p>
        <nav className="review-states">
          {STATES.map(one => (
            <button
              key={one}
              type="button"
              className="button quiet"
              aria-pressed={one === state}
              onClick={() => setState(one)}
            >
              {t(`persons.states.${one}`)}
            </button>
          ))}
        </nav>
        <Last list={list} />
        {list.error && <ErrorState error={list.error} onRetry={list.retry} inline />}
        {list.reviews.map(review => (
          <ReviewCard
            key={`${review.low.id}-${review.high.id}`}
            review={review}
            busy={list.busy}
            onDecide={(decision, why) => list.decide({ review, decision, why })}
          />
        ))}
        {!list.loading && !list.error && list.reviews.length === 0 && (
          <p className="reviews-none">{t(state === 'open' ? 'persons.none' : 'persons.noneDecided')}</p>
        )}
      </main>
    </div>
  )
}

/** What was linked a moment ago, and the way back. */
function Last({ list }: { list: ReturnType<typeof useReviews> }): ReactElement | null {
  const { t } = useTranslation()
  if (!list.last) return null
  const { low, high } = list.last.review
  const name = [low, high].map(one => `${one.facility} ${one.patient_id}`).join(' = ')
  return (
    <p className="review-last" role="status">
      {t('persons.linked', { name })}
      <button
        type="button"
        className="button"
        disabled={list.busy}
        onClick={list.undo}
        data-testid="review-undo"
      >
        {t('persons.undo')}
      </button>
    </p>
  )
}
