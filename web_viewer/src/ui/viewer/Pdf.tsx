import { type ReactElement, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { fetchBlob } from '../../api/dicomweb'
import { describeError } from '../describe'
import { Icon } from '../icons'
import { useMedia } from '../useMedia'

/** The bearer header rules out a plain link, so the document is fetched and handed over as an object URL. */
export function Pdf({ path, name }: { path: string; name: string }): ReactElement {
  const { t } = useTranslation()
  const [url, setUrl] = useState<string | null>(null)
  const [error, setError] = useState<Error | null>(null)
  // Phones hand a PDF to another app; an object element stays empty there.
  const roomy = useMedia('(min-width: 761px) and (pointer: fine)')
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
    <>
      <a className="button primary" href={url} target="_blank" rel="noreferrer" download={`${name}.pdf`}>
        <Icon name="document" /> {t('documents.open')}
      </a>
      {roomy && navigator.pdfViewerEnabled && (
        <object className="pdf" data={url} type="application/pdf" aria-label={name} />
      )}
    </>
  )
}
