import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { FPS_MAX } from '../../data/cine'
import type { StackView } from '../../render/stackView'
import type { ViewState } from '../../render/viewState'
import { fixed } from '../format'
import { Icon } from '../icons'

interface Props {
  view: StackView
  state: ViewState
  /** A loop has its slider here; a stack of slices only its play button. */
  prominent: boolean
}

export function CineBar({ view, state, prominent }: Props): ReactElement {
  const { t } = useTranslation()
  const { cine, speed, playing, item } = state
  const count = item?.frames.length ?? 0
  const fps = cine ? cine.fps * speed : 0
  const change = (next: number): void => {
    if (cine && next >= 0.5 && next <= FPS_MAX) view.setSpeed(next / cine.fps)
  }
  return (
    <div className="cine">
      <button
        type="button"
        className="tool small"
        data-testid="play"
        aria-pressed={playing}
        title={`${t(playing ? 'viewer.pause' : 'viewer.play')} (Space)`}
        disabled={!cine}
        onClick={() => view.toggle()}
      >
        <Icon name={playing ? 'pause' : 'play'} />
      </button>
      {prominent ? (
        <input
          type="range"
          className="cine-slider"
          data-testid="frame-slider"
          aria-label={t('viewer.slider')}
          min={1}
          max={count}
          value={(state.shown ?? 0) + 1}
          onChange={event => view.seek(Number(event.target.value) - 1)}
        />
      ) : (
        <span className="grow" />
      )}
      <span className="cine-index">
        {(state.shown ?? state.target) + 1} / {count}
      </span>
      <button
        type="button"
        className="tool small"
        title={t('viewer.slower')}
        onClick={() => change(Math.round(fps) - 1)}
      >
        <Icon name="slower" size={16} />
      </button>
      <label className="cine-fps">
        <input
          type="number"
          data-testid="fps"
          min={1}
          max={FPS_MAX}
          step={1}
          value={fps ? Number(fixed(fps, 1)) : ''}
          onChange={event => change(Number(event.target.value))}
        />
        {t('viewer.fps')}
      </label>
      <button
        type="button"
        className="tool small"
        title={t('viewer.faster')}
        onClick={() => change(Math.round(fps) + 1)}
      >
        <Icon name="faster" size={16} />
      </button>
      {prominent && cine && (
        <button
          type="button"
          className="cine-note"
          onClick={() => view.setSpeed(1)}
          title={`${fixed(cine.fps, 1)} ${t('viewer.fps')}`}
        >
          {state.buffering ? t('viewer.buffering') : t(cine.recorded ? 'viewer.recorded' : 'viewer.assumed')}
        </button>
      )}
    </div>
  )
}
