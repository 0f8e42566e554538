import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { shownId } from '../../data/residents'
import { ageText, nameLines, sexText } from '../format'

export function PatientLine({ manifest }: { manifest: Manifest }): ReactElement {
  const { t } = useTranslation()
  const { main, second } = nameLines(manifest)
  const facts = [
    second,
    shownId(manifest.patient_id),
    sexText(manifest.sex, t),
    ageText(manifest.birth_date, manifest.study_date, t),
    manifest.study_date,
  ].filter(Boolean)
  return (
    <div className="patient-line">
      <b>{main ?? t('list.noName')}</b>
      <span>{facts.join(' · ')}</span>
    </div>
  )
}
