import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { describeError, errorDetail } from './describe'
import { Icon } from './icons'

/** For what no part of the page could handle. */
export function PageError({ error: thrown }: { error: unknown }): ReactElement {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const { t } = useTranslation()
  return (
    <main className="page-error" role="alert">
      <Icon name="warning" size={32} />
      <h1>{t('errors.page')}</h1>
      <p>{describeError(error, t)}</p>
      <p className="detail">{errorDetail(error)}</p>
      <p>
        <a className="button" href="/">
          {t('viewer.back')}
        </a>
        <button type="button" className="button" onClick={() => location.reload()}>
          {t('errors.reload')}
        </button>
      </p>
    </main>
  )
}
