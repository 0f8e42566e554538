import { type FormEvent, type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '../../api/http'
import type { Study } from '../../api/types'
import { shownId } from '../../data/residents'
import { DAYS, DAYS_CHOSEN, useLinks, useStudiesOfPatient } from '../../data/shareLinks'
import { Dialog } from '../Dialog'
import { describeError } from '../describe'
import { nameLines } from '../format'
import { GivenLinks } from './GivenLinks'
import { Made } from './Made'
import '../styles/share.css'

type Making = ReturnType<typeof useLinks>['make']

/** A link for the patient: of which studies, for how long; and those that were given before. */
export function ShareDialog({ study, onClose }: { study: Study; onClose: () => void }): ReactElement {
  const { t } = useTranslation()
  const { links, error, make, revoke } = useLinks(study.study_uid)
  const { main } = nameLines(study)
  const title = t('share.title', { name: main ?? shownId(study.patient_id) ?? '' })
  return (
    <Dialog className="share" testId="share-dialog" title={title} icon="share" onClose={onClose}>
      {make.data ? <Made link={make.data} study={study} /> : <Ask study={study} make={make} />}
      {error && <p className="share-error">{describeError(error, t)}</p>}
      <GivenLinks links={links} onRevoke={revoke} />
    </Dialog>
  )
}

function Ask({ study, make }: { study: Study; make: Making }): ReactElement {
  const { t } = useTranslation()
  const [chosen, setChosen] = useState(() => new Set([study.study_uid]))
  const [days, setDays] = useState<number>(DAYS_CHOSEN)
  const [withCode, setWithCode] = useState(true)
  function toggle(uid: string): void {
    const next = new Set(chosen)
    if (!next.delete(uid)) next.add(uid)
    setChosen(next)
  }
  function submit(event: FormEvent): void {
    event.preventDefault()
    const facility = study.facility?.code ?? ''
    make.mutate({ facility, studies: [...chosen], days, with_code: withCode })
  }
  return (
    <form onSubmit={submit}>
      <p>{t('share.text')}</p>
      <Studies study={study} chosen={chosen} onToggle={toggle} />
      <label className="share-line">
        {t('share.days')}
        <select data-testid="share-days" value={days} onChange={event => setDays(Number(event.target.value))}>
          {DAYS.map(count => (
            <option key={count} value={count}>
              {t('share.dayCount', { count })}
            </option>
          ))}
        </select>
      </label>
      <label className="share-line">
        <input
          type="checkbox"
          data-testid="share-with-code"
          checked={withCode}
          onChange={event => setWithCode(event.target.checked)}
        />
        {t('share.withCode')}
      </label>
      {make.error && (
        <p className="share-error" role="alert">
          {make.error instanceof ApiError && make.error.status === 409
            ? t('share.several')
            : describeError(make.error, t)}
        </p>
      )}
      <button
        type="submit"
        className="button primary"
        disabled={chosen.size === 0 || make.isPending}
        data-testid="share-make"
      >
        {t(make.isPending ? 'share.making' : 'share.make')}
      </button>
    </form>
  )
}

interface StudiesProps {
  study: Study
  chosen: Set<string>
  onToggle: (uid: string) => void
}

/** The patient's studies at this hospital, that on the screen first. */
function Studies({ study, chosen, onToggle }: StudiesProps): ReactElement {
  const { t } = useTranslation()
  const others = useStudiesOfPatient(study)
  const rows = [study, ...(others.data ?? []).filter(one => one.study_uid !== study.study_uid)]
  return (
    <fieldset>
      <legend>{t('share.studies')}</legend>
      {rows.map(one => (
        <label key={one.study_uid} className="share-line" data-testid="share-study">
          <input
            type="checkbox"
            checked={chosen.has(one.study_uid)}
            onChange={() => onToggle(one.study_uid)}
          />
          <b>{one.study_date ?? '—'}</b>
          <span>{one.modalities.join(' ')}</span>
          <span className="grow">{one.description}</span>
        </label>
      ))}
    </fieldset>
  )
}
