import { useQueries } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Study } from '../../api/types'
import { useShared } from '../../data/shareLinks'
import { manifestQuery } from '../../data/studies'
import { facilityName, nameLines } from '../format'
import { Brand, Icon } from '../icons'
import { LanguageSwitch } from '../LanguageSwitch'
import { Loading } from '../Loading'
import { ErrorState } from '../list/states'
import { leaveLink } from '../signOut'
import { Thumbnail } from '../Thumbnail'
import { useTitle } from '../useTitle'
import { Looks } from './Looks'
import { momentText } from './moments'
import '../styles/sharedPage.css'

/** What a link opens, for the patient: the studies, until when, and who looked at them. */
export function SharedPage(): ReactElement {
  const { t, i18n } = useTranslation()
  const shared = useShared()
  const found = useQueries({ queries: (shared.data?.studies ?? []).map(manifestQuery) })
  useTitle(t('share.mine'))
  if (shared.error)
    return <ErrorState error={shared.error} onRetry={() => void shared.refetch()} inline={false} />
  if (!shared.data) return <Loading />
  const studies = found.flatMap(one => (one.data ? [one.data] : []))
  const name = studies[0] && nameLines(studies[0]).main
  const facility = facilityName(shared.data.facility, i18n.language)
  return (
    <div className="shared-page" data-testid="shared">
      <header className="bar">
        <Brand />
        <span className="grow" />
        <LanguageSwitch />
        <button type="button" className="button quiet" onClick={leaveLink} data-testid="leave-link">
          <Icon name="leave" size={18} />
          <span>{t('share.leave')}</span>
        </button>
      </header>
      <main>
        <h1>{t('share.from', { facility })}</h1>
        <p className="shared-until">
          {name && <b>{name}</b>} {t('share.until', { until: momentText(shared.data.until, i18n.language) })}
        </p>
        <ul className="shared-studies">
          {studies.map(study => (
            <li key={study.study_uid}>
              <Card study={study} />
            </li>
          ))}
        </ul>
        <Looks studies={studies} />
      </main>
    </div>
  )
}

function Card({ study }: { study: Study }): ReactElement {
  const { t } = useTranslation()
  return (
    <Link to="/study/$studyUid" params={{ studyUid: study.study_uid }} data-testid="shared-study">
      <Thumbnail path={study.thumbnail} label={study.modalities[0] ?? ''} />
      <span>
        <b>{study.study_date}</b>
        <span>
          {study.modalities.map(one => (
            <span key={one} className={`badge badge-${one}`}>
              {one}
            </span>
          ))}{' '}
          {study.description}
        </span>
        <small>{t('list.images', { count: study.instance_count })}</small>
      </span>
    </Link>
  )
}
