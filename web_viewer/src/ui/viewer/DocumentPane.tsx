import { type ReactElement, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { fetchBlob, instancePath } from '../../api/dicomweb'
import type { Item } from '../../data/items'
import { describeError } from '../describe'
import { Icon } from '../icons'
import { Thumbnail } from '../Thumbnail'

const PDF = '1.2.840.10008.5.1.4.1.1.104.1'
const NAMED = ['SR', 'PR', 'KO', 'ECG', 'HD', 'AU', 'RTSTRUCT', 'RTPLAN', 'RTDOSE', 'SEG', 'REG'] as const

/** The bearer header rules out a plain link, so the document is fetched and handed over as an object URL. */
function Pdf({ path, name }: { path: string; name: string }): ReactElement {
  const { t } = useTranslation()
  const [url, setUrl] = useState<string | null>(null)
  const [error, setError] = useState<Error | null>(null)
  useEffect(() => {
    const abort = new AbortController()
    let made = ''
    fetchBlob(`${path}/rendered`, 'application/pdf', abort.signal)
      .then(blob => {
        made = URL.createObjectURL(new Blob([blob], { type: 'application/pdf' }))
        setUrl(made)
      })
      .catch((failure: Error) => failure.name !== 'AbortError' && setError(failure))
    return () => {
      abort.abort()
      URL.revokeObjectURL(made)
    }
  }, [path])
  if (error) return <p role="alert">{describeError(error, t)}</p>
  if (!url) return <p role="status">{t('documents.loading')}</p>
  return (
    <a className="button primary" href={url} target="_blank" rel="noreferrer" download={`${name}.pdf`}>
      <Icon name="document" /> {t('documents.open')}
    </a>
  )
}

/** A series without pictures: what it is, in words. */
export function DocumentPane({ item }: { item: Item }): ReactElement {
  const { t } = useTranslation()
  const { series, frames } = item
  const pdf = frames.find(ref => ref.instance.sop_class === PDF)
  const named = NAMED.find(one => one === series.modality)
  const title = pdf ? t('documents.pdf') : named ? t(`documents.${named}`) : t('documents.other')
  return (
    <div className="document-pane" data-testid="document">
      <Thumbnail path={series.thumbnail} label={series.modality} />
      <h2>{title}</h2>
      {series.description && <p className="document-name">{series.description}</p>}
      {pdf ? (
        <Pdf
          path={instancePath(pdf.studyUid, pdf.seriesUid, pdf.sopUid)}
          name={series.description || 'document'}
        />
      ) : (
        <p>{t('documents.text')}</p>
      )}
      <p className="detail">{t('viewer.objects', { count: series.instance_count })}</p>
    </div>
  )
}
