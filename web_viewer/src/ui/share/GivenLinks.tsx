import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { ShareLink } from '../../api/shareLinks'
import { isOpen } from '../../data/shareLinks'
import { momentText } from './moments'

/** Links that were given before, and whether anybody opened them. */
export function GivenLinks({
  links,
  onRevoke,
}: {
  links: ShareLink[]
  onRevoke: (id: number) => void
}): ReactElement | null {
  const { t } = useTranslation()
  if (links.length === 0) return null
  return (
    <section className="share-given">
      <h3>{t('share.given')}</h3>
      <ul>
        {links.map(link => (
          <Given key={link.id} link={link} onRevoke={onRevoke} />
        ))}
      </ul>
    </section>
  )
}

function Given({ link, onRevoke }: { link: ShareLink; onRevoke: (id: number) => void }): ReactElement {
  const { t, i18n } = useTranslation()
  const said = (moment: string): string => momentText(moment, i18n.language)
  const open = isOpen(link)
  return (
    <li data-testid="given-link" className={open ? '' : 'over'}>
      <span className="grow">
        {open
          ? t('share.by', { who: link.made_by, until: said(link.until) })
          : t('share.ended', { until: said(link.until) })}
        <small>
          {link.opened_at ? t('share.openedAt', { at: said(link.opened_at) }) : t('share.unopened')}
        </small>
      </span>
      {open && (
        <button type="button" className="button" data-testid="share-revoke" onClick={() => onRevoke(link.id)}>
          {t('share.revoke')}
        </button>
      )}
    </li>
  )
}
