import { memo, type ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Study } from '../../api/types'
import { shownId } from '../../data/residents'
import { ageText, facilityName, nameLines, sexText } from '../format'
import { Thumbnail } from '../Thumbnail'

interface Props {
  study: Study
  index: number
  tabbable: boolean
  isNew: boolean
  onOpen: (studyUid: string) => void
  onFocus: (index: number) => void
}

function Badges({ modalities }: { modalities: string[] }): ReactElement {
  return (
    <>
      {modalities.map(one => (
        <span key={one} className={`badge badge-${one}`}>
          {one}
        </span>
      ))}
    </>
  )
}

export const StudyRow = memo(function StudyRow({
  study,
  index,
  tabbable,
  isNew,
  onOpen,
  onFocus,
}: Props): ReactElement {
  const { t, i18n } = useTranslation()
  const facility = facilityName(study.facility, i18n.language)
  const name = nameLines(study)
  const sex = sexText(study.sex, t)
  const years = ageText(study.birth_date, study.study_date, t)
  return (
    <div
      role="row"
      className={isNew ? 'row new' : 'row'}
      data-testid="study-row"
      data-study={study.study_uid}
      data-index={index}
      aria-rowindex={index + 2}
      tabIndex={tabbable ? 0 : -1}
      onClick={() => onOpen(study.study_uid)}
      onFocus={() => onFocus(index)}
    >
      <span role="gridcell" className="c-thumb">
        <Thumbnail path={study.thumbnail} label={study.modalities[0] ?? ''} />
      </span>
      <span role="gridcell" className="c-name">
        <b>{name.main ?? t('list.noName')}</b>
        {name.second && <small>{name.second}</small>}
      </span>
      <span role="gridcell" className="c-id">
        {shownId(study.patient_id)}
      </span>
      <span role="gridcell" className="c-sex">
        <span>{[sex, years].filter(Boolean).join(' · ')}</span>
        <small>{study.birth_date}</small>
      </span>
      <span role="gridcell" className="c-time">
        <span>{study.study_date}</span>
        <small>{study.study_time?.slice(0, 5)}</small>
      </span>
      <span role="gridcell" className="c-mod">
        <Badges modalities={study.modalities} />
      </span>
      <span role="gridcell" className="c-desc" title={study.description ?? ''}>
        {study.description}
      </span>
      <span role="gridcell" className="c-acc">
        {study.accession}
      </span>
      <span role="gridcell" className="c-count">
        <span title={t('list.series', { count: study.series_count })}>{study.series_count}</span>
        <i aria-hidden="true">/</i>
        <span title={t('list.images', { count: study.instance_count })}>{study.instance_count}</span>
      </span>
      <span role="gridcell" className="c-fac" title={facility ?? ''}>
        {facility}
      </span>
    </div>
  )
})
