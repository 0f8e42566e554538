import { useQueries } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../../api/http'
import type { Opened } from '../../api/sharing'
import { REASON_CHARACTERS_MAX, REASON_CHARACTERS_MIN, useBreakGlass } from '../../data/sharing'
import { manifestQuery } from '../../data/studies'
import { Dialog } from '../Dialog'
import { describeError } from '../describe'
import { facilityName } from '../format'
import '../styles/emergency.css'

const SHOWN_MAX = 20

/** A patient of one's own hospital, a typed reason, and what that opens. */
export function EmergencyDialog({
  patientId,
  onClose,
}: {
  patientId: string
  onClose: () => void
}): ReactElement {
  const { t } = useTranslation()
  const glass = useBreakGlass()
  return (
    <Dialog
      className="emergency"
      testId="emergency"
      title={t('emergency.title')}
      icon="warning"
      onClose={onClose}
    >
      {glass.data ? (
        <Result opened={glass.data} />
      ) : (
        <Ask patientId={patientId} busy={glass.isPending} error={glass.error} onSubmit={glass.mutate} />
      )}
    </Dialog>
  )
}

interface AskProps {
  patientId: string
  busy: boolean
  error: Error | null
  onSubmit: (given: { patientId: string; reason: string }) => void
}

function Ask({ patientId, busy, error, onSubmit }: AskProps): ReactElement {
  const { t } = useTranslation()
  const [id, setId] = useState(patientId)
  const [reason, setReason] = useState('')
  const complete = id.trim() !== '' && reason.trim().length >= REASON_CHARACTERS_MIN
  function submit(event: FormEvent): void {
    event.preventDefault()
    if (complete) onSubmit({ patientId: id, reason })
  }
  return (
    <form onSubmit={submit}>
      <p>{t('emergency.warning')}</p>
      <label>
        {t('emergency.patientId')}
        <input
          data-testid="emergency-patient"
          value={id}
          onChange={event => setId(event.target.value)}
          maxLength={64}
          autoComplete="off"
          spellCheck={false}
        />
      </label>
      <label>
        {t('emergency.reason')}
        <textarea
          data-testid="emergency-reason"
          value={reason}
          onChange={event => setReason(event.target.value)}
          placeholder={t('emergency.reasonHint', { count: REASON_CHARACTERS_MIN })}
          maxLength={REASON_CHARACTERS_MAX}
          rows={3}
        />
      </label>
      {error && (
        <p className="emergency-error" role="alert">
          {error instanceof ApiError && error.status === 404
            ? t('emergency.nothing')
            : describeError(error, t)}
        </p>
      )}
      <button
        type="submit"
        className="button primary danger"
        disabled={!complete || busy}
        data-testid="emergency-open"
      >
        {t(busy ? 'emergency.busy' : 'emergency.submit')}
      </button>
    </form>
  )
}

function Result({ opened }: { opened: Opened }): ReactElement {
  const { t, i18n } = useTranslation()
  const until = new Date(opened.until).toLocaleTimeString(i18n.language, { timeStyle: 'short' })
  const shown = opened.studies.slice(0, SHOWN_MAX)
  const found = useQueries({ queries: shown.map(manifestQuery) })
  const more = opened.studies.length - shown.length
  return (
    <div className="emergency-result" data-testid="emergency-result">
      <p role="status">{t('emergency.opened', { count: opened.studies.length, until })}</p>
      <ul>
        {shown.map((uid, place) => {
          const study = found[place]?.data
          return (
            <li key={uid}>
              <Link to="/study/$studyUid" params={{ studyUid: uid }} data-testid="emergency-study">
                <b>{study?.study_date ?? '…'}</b>
                <span>{study?.modalities.join(' ')}</span>
                <span className="grow">{study?.description}</span>
                <small>{study && facilityName(study.facility, i18n.language)}</small>
              </Link>
            </li>
          )
        })}
      </ul>
      {more > 0 && <p>{t('emergency.more', { count: more })}</p>}
    </div>
  )
}
