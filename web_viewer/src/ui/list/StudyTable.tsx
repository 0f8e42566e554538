import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, type ReactElement, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { StudyList } from '../../data/studies'
import { useMedia } from '../useMedia'
import { StudyRow } from './StudyRow'

const ROW_PX = 56
const CARD_PX = 124
const AHEAD = 12
const COLUMNS = [
  'patient',
  'patientId',
  'sexAge',
  'studyTime',
  'modality',
  'description',
  'accession',
  'counts',
  'facility',
] as const
const CLASS = ['name', 'id', 'sex', 'time', 'mod', 'desc', 'acc', 'count', 'fac']

/** Which studies came while the page was open: their rows are marked for a moment. */
function useArrivals(list: StudyList): Set<string> {
  const [first] = useState(() => new Set(list.studies.map(study => study.study_uid)))
  const [opened] = useState(() => new Date().toISOString())
  return new Set(
    list.studies
      .slice(0, 50)
      .filter(study => !first.has(study.study_uid) && (study.received_at ?? '') > opened)
      .map(study => study.study_uid),
  )
}

export function StudyTable({
  list,
  onOpen,
}: {
  list: StudyList
  onOpen: (studyUid: string) => void
}): ReactElement {
  const { t } = useTranslation()
  const { studies, hasMore, loadMore, loadingMore } = list
  const cards = useMedia('(max-width: 760px)')
  const body = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [active, setActive] = useState(0)
  const arrivals = useArrivals(list)
  useLayoutEffect(() => setTop(body.current?.offsetTop ?? 0), [])
  const rows = useWindowVirtualizer({
    count: studies.length,
    estimateSize: () => (cards ? CARD_PX : ROW_PX),
    getItemKey: index => studies[index]?.study_uid ?? index,
    overscan: 8,
    scrollMargin: top,
    scrollPaddingStart: 56,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height of rows follows the width of the page
  useEffect(() => rows.measure(), [cards])

  const shown = rows.getVirtualItems()
  const last = shown.at(-1)?.index ?? 0
  useEffect(() => {
    if (hasMore && !loadingMore && !list.error && last >= studies.length - AHEAD) loadMore()
  }, [hasMore, loadingMore, list.error, last, studies.length, loadMore])

  function move(to: number): void {
    const index = Math.min(Math.max(to, 0), studies.length - 1)
    setActive(index)
    rows.scrollToIndex(index, { align: 'auto' })
    requestAnimationFrame(() =>
      body.current?.querySelector<HTMLElement>(`[data-index="${index}"]`)?.focus({ preventScroll: true }),
    )
  }

  function onKey(event: KeyboardEvent): void {
    const to: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + 10,
      PageUp: active - 10,
      Home: 0,
      End: studies.length - 1,
    }
    const target = to[event.key]
    const study = studies[active]
    if (target !== undefined) {
      event.preventDefault()
      move(target)
    } else if ((event.key === 'Enter' || event.key === ' ') && study) {
      event.preventDefault()
      onOpen(study.study_uid)
    }
  }

  return (
    <div
      role="grid"
      className="table"
      aria-rowcount={hasMore ? -1 : studies.length + 1}
      aria-label={t('list.title')}
      onKeyDown={onKey}
    >
      <div role="row" className="head" aria-rowindex={1}>
        <span role="columnheader" className="c-thumb" />
        {COLUMNS.map((column, index) => (
          <span key={column} role="columnheader" className={`c-${CLASS[index]}`}>
            {t(`list.${column}`)}
          </span>
        ))}
      </div>
      <div ref={body} className="rows" style={{ height: rows.getTotalSize() }}>
        {shown.map(({ key, index, start, size }) => {
          const study = studies[index]
          if (!study) return null
          return (
            <div
              key={key}
              className="slot"
              style={{ height: size, transform: `translateY(${start - top}px)` }}
            >
              <StudyRow
                study={study}
                index={index}
                tabbable={index === Math.min(active, studies.length - 1)}
                isNew={arrivals.has(study.study_uid)}
                onOpen={onOpen}
                onFocus={setActive}
              />
            </div>
          )
        })}
      </div>
      <p className="end" role="status">
        {loadingMore ? <span className="spinner small" /> : hasMore ? null : t('list.end')}
      </p>
    </div>
  )
}
