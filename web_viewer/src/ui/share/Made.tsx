import { type ReactElement, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { MadeLink } from '../../api/shareLinks'
import type { Study } from '../../api/types'
import { facilityName } from '../format'
import { Icon } from '../icons'
import { momentText } from './moments'

/** The link as it is given away: to copy, or on paper. The code is never on the paper. */
export function Made({ link, study }: { link: MadeLink; study: Study }): ReactElement {
  const { t, i18n } = useTranslation()
  const facility = facilityName(study.facility, i18n.language) ?? ''
  return (
    <div className="share-made" data-testid="share-made">
      <p className="share-once">
        <Icon name="warning" size={18} /> {t('share.once')}
      </p>
      <Address url={link.url} />
      {link.code && (
        <div className="share-code">
          <span>{t('share.code')}</span>
          <b data-testid="share-code">{link.code}</b>
          <small>{t('share.codeText')}</small>
        </div>
      )}
      <section className="share-sheet" data-testid="share-sheet">
        <h3>{t('share.sheetTitle', { facility })}</h3>
        <img src={`data:image/svg+xml,${encodeURIComponent(link.qr)}`} alt="" width={200} height={200} />
        <div>
          <p>{t('share.sheetText')}</p>
          <p className="share-printed">{link.url}</p>
          {link.code && <p>{t('share.sheetCode')}</p>}
          <p>{t('share.sheetUntil', { until: momentText(link.until, i18n.language) })}</p>
        </div>
      </section>
      <button type="button" className="button" data-testid="share-print" onClick={() => window.print()}>
        {t('share.print')}
      </button>
    </div>
  )
}

function Address({ url }: { url: string }): ReactElement {
  const { t } = useTranslation()
  const [copied, setCopied] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  async function copy(): Promise<void> {
    field.current?.select()
    // Without TLS browsers have no clipboard for pages; what is selected they copy all the same.
    if (navigator.clipboard)
      await navigator.clipboard.writeText(url).catch(() => document.execCommand('copy'))
    else document.execCommand('copy')
    setCopied(true)
  }
  return (
    <label className="share-address">
      {t('share.link')}
      <span>
        <input ref={field} data-testid="share-url" value={url} readOnly onFocus={e => e.target.select()} />
        <button type="button" className="button" data-testid="share-copy" onClick={() => void copy()}>
          {t(copied ? 'share.copied' : 'share.copy')}
        </button>
      </span>
    </label>
  )
}
