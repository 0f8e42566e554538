import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { CODES, erase, type Rejection, type RejectionState, restore } from '../../api/rejections'
import { useChange } from '../../data/administration'
import { useRejections } from '../../data/rejections'
import { shownId } from '../../data/residents'
import { facilityName, nameLines } from '../format'
import { momentText } from '../share/moments'
import type { Looking } from './AdminPage'
import { Refused } from './Form'
import { Head, Sure } from './fields'
import { Listed } from './Listed'

const STATES = ['active', 'restored', 'erased'] as const

/** What was rejected: to look through, to restore, to erase. */
export function BinTab({ own, facilities }: Looking): ReactElement {
  const { t } = useTranslation()
  const [state, setState] = useState<RejectionState>('active')
  const list = useRejections(state)
  return (
    <>
      <div className="admin-tools">
        <div className="segments">
          {STATES.map(one => (
            <button
              key={one}
              type="button"
              aria-pressed={one === state}
              data-testid={`bin-${one}`}
              onClick={() => setState(one)}
            >
              {t(`reject.states.${one}`)}
            </button>
          ))}
        </div>
      </div>
      <Listed list={list} isEmpty={list.rejections.length === 0} none={t('reject.none')}>
        <Table rejections={list.rejections} state={state} own={own} facilities={facilities} />
      </Listed>
    </>
  )
}

interface TableProps extends Looking {
  rejections: Rejection[]
  state: RejectionState
}

function Table({ rejections, state, own, facilities }: TableProps): ReactElement {
  const { t } = useTranslation()
  const takeBack = useChange(restore)
  const giveUp = useChange(erase)
  const words = [
    t('reject.patient'),
    t('reject.images'),
    t('reject.why'),
    t('reject.by'),
    t(state === 'active' ? 'reject.until' : 'reject.ended'),
    ...(own === null ? [t('admin.facility')] : []),
  ]
  return (
    <>
      <Refused error={takeBack.error ?? giveUp.error} />
      <table className="admin-table">
        <Head words={words} />
        <tbody>
          {rejections.map(one => (
            <Row
              key={one.id}
              rejection={one}
              own={own}
              facilities={facilities}
              onRestore={() => takeBack.mutate(one.id)}
              onErase={() => giveUp.mutate(one.id)}
            />
          ))}
        </tbody>
      </table>
    </>
  )
}

interface RowProps extends Looking {
  rejection: Rejection
  onRestore: () => void
  onErase: () => void
}

function Row({ rejection: one, own, facilities, onRestore, onErase }: RowProps): ReactElement {
  const { t, i18n } = useTranslation()
  const code = CODES.find(known => known === one.code)
  const of = facilities.find(known => known.code === one.facility) ?? null
  const [latin = '', characters = ''] = one.patient_name.split('=')
  const { main } = nameLines({ patient_name: latin, patient_name_ideographic: characters })
  return (
    <tr data-testid="rejection-row" data-patient={one.patient_id}>
      <td className="first">
        <b>{main ?? t('reject.unnamed')}</b>
        <small>{shownId(one.patient_id)}</small>
      </td>
      <td data-label={t('reject.images')}>{one.instances}</td>
      <td data-label={t('reject.why')}>
        {code ? t(`reject.codes.${code}`) : one.code}
        {one.reason && <small>{one.reason}</small>}
      </td>
      <td data-label={t('reject.by')}>
        {momentText(one.rejected_at, i18n.language)}
        <small>{one.author}</small>
      </td>
      <td data-label={t(one.state === 'active' ? 'reject.until' : 'reject.ended')}>
        <Until rejection={one} />
      </td>
      {own === null && (
        <td data-label={t('admin.facility')}>{facilityName(of, i18n.language) ?? one.facility}</td>
      )}
      <td className="actions">
        {one.state === 'active' && (
          <>
            <Sure words={t('reject.restore')} testId="restore" onSure={onRestore} />
            <Sure
              words={t('reject.erase')}
              question={t('reject.eraseSure')}
              testId="erase"
              onSure={onErase}
            />
          </>
        )}
      </td>
    </tr>
  )
}

function Until({ rejection: one }: { rejection: Rejection }): ReactElement {
  const { t, i18n } = useTranslation()
  if (one.ended_at)
    return (
      <>
        {momentText(one.ended_at, i18n.language)}
        <small>{one.ended_by}</small>
      </>
    )
  return <>{one.kept_until ? momentText(one.kept_until, i18n.language) : t('reject.always')}</>
}
