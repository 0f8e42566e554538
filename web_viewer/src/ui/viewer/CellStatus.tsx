import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { ViewState } from '../../render/viewState'
import { describeError, errorDetail } from '../describe'
import { Icon } from '../icons'
import { Preview } from './Preview'

/** Only where the pixels are slow: on a good line they are there before this is asked for. */
const PREVIEW_AFTER_MS = 500

/** Over the picture: that it is still coming, or why it does not come. */
export function CellStatus({
  state,
  onRetry,
}: {
  state: ViewState
  onRetry: () => void
}): ReactElement | null {
  const { t } = useTranslation()
  const index = state.target + 1
  if (state.phase === 'failed' && state.error) {
    return (
      <div className="cell-message failed" role="alert" data-testid="image-error">
        <Icon name="warning" size={32} />
        <h2>{t('viewer.failedImage', { index })}</h2>
        <p>{describeError(state.error, t)}</p>
        <p className="detail">{errorDetail(state.error)}</p>
        <button type="button" className="button" onClick={onRetry}>
          {t('errors.retry')}
        </button>
      </div>
    )
  }
  const awaited = state.shown === null ? state.item?.frames[state.target] : undefined
  return (
    <>
      {awaited && <Preview frame={awaited} afterMs={PREVIEW_AFTER_MS} />}
      {state.phase === 'loading' && (
        <div className="cell-loading" role="status">
          <span className="spinner small" />
          {t('viewer.loadingImage', { index })}
        </div>
      )}
    </>
  )
}
