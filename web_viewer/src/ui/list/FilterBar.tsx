import { type ReactElement, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Icon } from '../icons'
import { DATE_PRESETS, type DatePreset, type ListSearch, MODALITIES } from './filter'

/** Long enough not to ask at every letter, short enough not to be noticed. */
const TYPING_PAUSE_MS = 250

interface Props {
  search: ListSearch
  onChange: (changes: Partial<ListSearch>) => void
  count: number
  hasMore: boolean
}

function SearchBox({ value, onChange }: { value: string; onChange: (value: string) => void }): ReactElement {
  const { t } = useTranslation()
  const [typed, setTyped] = useState(value)
  const sent = useRef(value)
  useEffect(() => {
    if (value !== sent.current) {
      sent.current = value
      setTyped(value)
    }
  }, [value])
  useEffect(() => {
    if (typed === sent.current) return
    const timer = setTimeout(() => {
      sent.current = typed
      onChange(typed)
    }, TYPING_PAUSE_MS)
    return () => clearTimeout(timer)
  }, [typed, onChange])
  return (
    <div className="search-box">
      <Icon name="search" size={18} />
      <input
        type="search"
        data-testid="search"
        aria-label={t('list.search')}
        placeholder={t('list.searchHint')}
        value={typed}
        onChange={event => setTyped(event.target.value)}
        maxLength={64}
        spellCheck={false}
        autoComplete="off"
      />
      {typed && (
        <button
          type="button"
          className="icon-button"
          aria-label={t('list.clear')}
          onClick={() => setTyped('')}
        >
          <Icon name="close" size={16} />
        </button>
      )}
    </div>
  )
}

function Modalities({
  chosen,
  onChange,
}: {
  chosen: string[]
  onChange: (next: string[]) => void
}): ReactElement {
  const { t } = useTranslation()
  const toggle = (one: string) =>
    onChange(chosen.includes(one) ? chosen.filter(other => other !== one) : [...chosen, one])
  return (
    <fieldset className="chips">
      <legend className="visually-hidden">{t('list.modality')}</legend>
      {MODALITIES.map(one => (
        <button
          key={one}
          type="button"
          className="chip"
          aria-pressed={chosen.includes(one)}
          onClick={() => toggle(one)}
        >
          {one}
        </button>
      ))}
    </fieldset>
  )
}

function Dates({ search, onChange }: Pick<Props, 'search' | 'onChange'>): ReactElement {
  const { t } = useTranslation()
  const ranged = Boolean(search.from || search.to)
  const current: DatePreset | null = ranged ? null : (search.date ?? 'all')
  return (
    <fieldset className="dates">
      <legend className="visually-hidden">{t('list.date')}</legend>
      <div className="segments">
        {(Object.keys(DATE_PRESETS) as DatePreset[]).map(name => (
          <button
            key={name}
            type="button"
            aria-pressed={current === name}
            onClick={() =>
              onChange({
                date: name === 'all' ? undefined : name,
                from: undefined,
                to: undefined,
              } as ListSearch)
            }
          >
            {t(`list.${name}`)}
          </button>
        ))}
      </div>
      <div className="range">
        <input
          type="date"
          aria-label={t('list.from')}
          value={search.from ?? ''}
          max={search.to ?? ''}
          onChange={event => onChange({ from: event.target.value, date: undefined } as ListSearch)}
        />
        <span aria-hidden="true">–</span>
        <input
          type="date"
          aria-label={t('list.to')}
          value={search.to ?? ''}
          min={search.from ?? ''}
          onChange={event => onChange({ to: event.target.value, date: undefined } as ListSearch)}
        />
      </div>
    </fieldset>
  )
}

export function FilterBar({ search, onChange, count, hasMore }: Props): ReactElement {
  const { t } = useTranslation()
  const setQuery = useRef((q: string) => onChange({ q })).current
  return (
    <search className="filters">
      <SearchBox value={search.q ?? ''} onChange={setQuery} />
      <Dates search={search} onChange={onChange} />
      <Modalities chosen={search.m ?? []} onChange={m => onChange({ m })} />
      <p className="live" title={t('list.live')}>
        <span className="pulse" aria-hidden="true" />
        {t('list.shown', { count })}
        {hasMore ? '+' : ''}
      </p>
    </search>
  )
}
