import { memo, type ReactElement, useEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import type { Item } from '../../data/items'
import { Icon } from '../icons'
import { Thumbnail } from '../Thumbnail'

export const DRAG_TYPE = 'text/x-tongying-item'

interface EntryProps {
  item: Item
  chosen: boolean
  onChoose: (item: Item) => void
}

const Entry = memo(function Entry({ item, chosen, onChoose }: EntryProps): ReactElement {
  const { t } = useTranslation()
  const { series, kind, frames } = item
  const button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (chosen) button.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [chosen])
  const unit = kind === 'document' ? 'objects' : kind === 'loop' ? 'frames' : 'images'
  const title =
    series.description ||
    (series.number === null ? series.modality : t('viewer.seriesNumber', { number: series.number }))
  return (
    <li>
      <button
        ref={button}
        type="button"
        className="series"
        data-testid="series-item"
        data-series={series.series_uid}
        data-kind={kind}
        aria-current={chosen}
        draggable
        onDragStart={event => event.dataTransfer.setData(DRAG_TYPE, item.key)}
        onClick={() => onChoose(item)}
        title={title}
      >
        <span className="series-picture">
          <Thumbnail path={item.thumbnail} label={series.modality} />
          {kind === 'loop' && (
            <span className="series-loop">
              <Icon name="play" size={12} />
            </span>
          )}
          <span className="series-count">{t(`viewer.${unit}`, { count: frames.length })}</span>
        </span>
        <span className="series-text">
          <span className="series-number">
            {series.number !== null && <b>{series.number}</b>}
            <span className={`badge badge-${series.modality}`}>{series.modality}</span>
            {item.part !== null && (
              <small>{t(kind === 'loop' ? 'viewer.loop' : 'viewer.part', { part: item.part })}</small>
            )}
          </span>
          <span className="series-title">{title}</span>
        </span>
      </button>
    </li>
  )
})

interface Props {
  items: Item[]
  chosen: Item | null
  onChoose: (item: Item) => void
}

export function Rail({ items, chosen, onChoose }: Props): ReactElement {
  const { t } = useTranslation()
  return (
    <nav className="rail" aria-label={t('viewer.series')}>
      <ul>
        {items.map(item => (
          <Entry key={item.key} item={item} chosen={item.key === chosen?.key} onChoose={onChoose} />
        ))}
      </ul>
    </nav>
  )
}
