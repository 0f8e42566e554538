import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Look } from '../../api/shareLinks'
import type { Study } from '../../api/types'
import { useLooks } from '../../data/shareLinks'
import { describeError } from '../describe'
import { momentText } from './moments'

/** Who opened the studies: where, in which role, when and why. */
export function Looks({ studies }: { studies: Study[] }): ReactElement {
  const { t } = useTranslation()
  const looks = useLooks()
  return (
    <section className="shared-looks">
      <h2>{t('share.looked')}</h2>
      <p>{t('share.lookedText')}</p>
      {looks.error && <p className="share-error">{describeError(looks.error, t)}</p>}
      {looks.data?.length === 0 && <p>{t('share.lookedNone')}</p>}
      {looks.data && looks.data.length > 0 && (
        <table>
          <thead>
            <tr>
              {(['at', 'where', 'who', 'what', 'why'] as const).map(name => (
                <th key={name}>{t(`share.${name}`)}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {looks.data.map(look => (
              <Row
                key={`${look.first} ${look.role} ${look.kind} ${look.studies.join()}`}
                look={look}
                studies={studies}
              />
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

function Row({ look, studies }: { look: Look; studies: Study[] }): ReactElement {
  const { t, i18n } = useTranslation()
  const seen = studies.filter(study => look.studies.includes(study.study_uid))
  const of = seen.map(study => [study.modalities.join(' '), study.study_date].filter(Boolean).join(' '))
  const chinese = i18n.language.startsWith('zh')
  const facility =
    (chinese ? look.facility_name : look.facility_name_en || look.facility_name) || look.facility
  return (
    <tr data-testid="look">
      <td>
        {momentText(look.first, i18n.language)}
        {look.times > 1 && <small> {t('share.times', { count: look.times })}</small>}
      </td>
      <td>{look.role === 'link' ? '' : facility || t('share.region')}</td>
      <td>{t(`share.roles.${look.role}` as 'share.roles.other')}</td>
      <td>
        {t(`share.kinds.${look.kind}` as 'share.kinds.other')}
        <small> {of.join(', ')}</small>
      </td>
      <td>
        {look.purpose && look.role !== 'link'
          ? t(`share.purposes.${look.purpose}` as 'share.purposes.none')
          : ''}
      </td>
    </tr>
  )
}
