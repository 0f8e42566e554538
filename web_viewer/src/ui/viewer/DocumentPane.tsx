import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { instancePath } from '../../api/dicomweb'
import type { Item } from '../../data/items'
import { Thumbnail } from '../Thumbnail'
import { Pdf } from './Pdf'
import { Report } from './Report'

const PDF = '1.2.840.10008.5.1.4.1.1.104.1'
/** Structured reports of every kind, key object selections among them (PS3.4 B.5). */
const REPORTS = '1.2.840.10008.5.1.4.1.1.88.'
const REPORTS_SHOWN_MAX = 20
const NAMED = ['SR', 'PR', 'KO', 'ECG', 'HD', 'AU', 'RTSTRUCT', 'RTPLAN', 'RTDOSE', 'SEG', 'REG'] as const

/** A series without pictures: what it is, in words, and its text where it has one. */
export function DocumentPane({ item }: { item: Item }): ReactElement {
  const { t } = useTranslation()
  const { series, frames } = item
  const pdf = frames.find(ref => ref.instance.sop_class === PDF)
  const reports = frames.filter(ref => ref.instance.sop_class.startsWith(REPORTS)).slice(0, REPORTS_SHOWN_MAX)
  const named = NAMED.find(one => one === series.modality)
  const title = pdf ? t('documents.pdf') : named ? t(`documents.${named}`) : t('documents.other')
  return (
    <div className="document-pane" data-testid="document">
      <header>
        <Thumbnail path={series.thumbnail} label={series.modality} />
        <div>
          <h2>{title}</h2>
          {series.description && <p className="document-name">{series.description}</p>}
          <p className="detail">{t('viewer.objects', { count: series.instance_count })}</p>
        </div>
      </header>
      {pdf && (
        <Pdf
          path={instancePath(pdf.studyUid, pdf.seriesUid, pdf.sopUid)}
          name={series.description || 'document'}
        />
      )}
      {reports.map(frame => (
        <Report key={frame.sopUid} frame={frame} />
      ))}
      {!pdf && reports.length === 0 && <p>{t('documents.text')}</p>}
    </div>
  )
}
