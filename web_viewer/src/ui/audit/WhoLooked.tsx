import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { fetchLooked } from '../../api/audit'
import { useMe } from '../../data/studies'
import { describeError } from '../describe'
import { Icon } from '../icons'

/** For a patient who asks: a sheet of who looked, of the patient that the list is narrowed to. */
export function WhoLooked({ patient }: { patient: string }): ReactElement | null {
  const { t, i18n } = useTranslation()
  const me = useMe()
  const [said, setSaid] = useState('')
  const [names, setNames] = useState(false)
  const [error, setError] = useState<Error | null>(null)
  const facility = me.data?.facility ?? said.trim()
  if (!patient || !me.data) return null

  async function save(): Promise<void> {
    setError(null)
    try {
      const url = URL.createObjectURL(await fetchLooked(facility, patient, i18n.language, names))
      const link = document.createElement('a')
      Object.assign(link, { href: url, download: `who-looked-${patient}.html` }).click()
      setTimeout(() => URL.revokeObjectURL(url), 10_000)
    } catch (failure) {
      setError(failure as Error)
    }
  }

  return (
    <div className="audit-looked">
      {!me.data.facility && (
        <input
          data-testid="looked-facility"
          placeholder={t('audit.lookedFacility')}
          aria-label={t('audit.lookedFacility')}
          value={said}
          maxLength={16}
          onChange={event => setSaid(event.target.value)}
        />
      )}
      <button
        type="button"
        className="button"
        data-testid="looked"
        disabled={!facility}
        onClick={() => void save()}
      >
        <Icon name="document" size={18} /> {t('audit.looked')}
      </button>
      <label>
        <input type="checkbox" checked={names} onChange={event => setNames(event.target.checked)} />
        {t('audit.withNames')}
      </label>
      {error && <span role="alert">{describeError(error, t)}</span>}
    </div>
  )
}
