import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Manifest } from '../../api/types'
import { number, personName, sliceLocation, sliceThickness, TAG, text } from '../../data/dicom'
import { fromVoi } from '../../data/presets'
import { shownId } from '../../data/residents'
import type { ViewState } from '../../render/viewState'
import { ageText, daText, facilityName, fixed, nameLines, sexText } from '../format'

function Corner({ at, lines }: { at: string; lines: (string | null | undefined)[] }): ReactElement {
  return (
    <div className={`corner ${at}`}>
      {lines.map((line, index) => {
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place
        return line ? <span key={index}>{line}</span> : null
      })}
    </div>
  )
}

const sized = (label: string, value: number | null, digits = 1): string | null =>
  value === null ? null : `${label} ${fixed(value, digits)} mm`

interface Props {
  state: ViewState
  manifest: Manifest
  /** Drawn without WebGL. */
  lite: boolean
}

/** Identity comes from the image on the screen, so that it can never be that of another. */
export function Overlay({ state, manifest, lite }: Props): ReactElement | null {
  const { t, i18n } = useTranslation()
  const { dataset, shownRef, item, shown } = state
  if (!dataset || !shownRef || !item || shown === null || state.phase === 'failed') return null
  const name = personName(dataset, TAG.patientName)
  const { main, second } = nameLines({
    patient_name: name.alphabetic,
    patient_name_ideographic: name.ideographic,
  })
  const born = daText(text(dataset, TAG.birthDate))
  const age = ageText(born, manifest.study_date, t)
  const sex = sexText(text(dataset, TAG.sex), t)
  const window = state.voi ? fromVoi(state.voi) : null
  const { frame } = shownRef
  const location = sliceLocation(dataset, frame)
  const wide = window && window.width < 10 ? 2 : 0
  return (
    <div className="overlay" aria-hidden="true">
      <Corner
        at="top-left"
        lines={[
          main ?? t('list.noName'),
          second,
          shownId(text(dataset, TAG.patientId)),
          [sex, age, born].filter(Boolean).join(' · '),
        ]}
      />
      <Corner
        at="top-right"
        lines={[
          text(dataset, TAG.institution) ?? facilityName(manifest.facility, i18n.language),
          [daText(text(dataset, TAG.studyDate)), manifest.study_time?.slice(0, 5)].filter(Boolean).join(' '),
          text(dataset, TAG.studyDescription),
          [number(dataset, TAG.seriesNumber), text(dataset, TAG.seriesDescription)]
            .filter(part => part !== null)
            .join(' · '),
        ]}
      />
      <Corner
        at="bottom-left"
        lines={[
          `${t(item.kind === 'loop' ? 'viewer.frame' : 'viewer.image')} ${shown + 1} / ${item.frames.length}`,
          sized(t('viewer.slice'), location),
          sized(t('viewer.thickness'), sliceThickness(dataset, frame)),
        ]}
      />
      <Corner
        at="bottom-right"
        lines={[
          lite ? t('viewer.lite') : null,
          state.inverted ? t('viewer.inverted') : null,
          window && !state.color ? `W ${fixed(window.width, wide)}  L ${fixed(window.center, wide)}` : null,
          `${t('viewer.zoom')} ${fixed(state.zoom, 2)}×`,
        ]}
      />
      {state.edges && (
        <>
          <b className="edge top">{state.edges.top}</b>
          <b className="edge bottom">{state.edges.bottom}</b>
          <b className="edge left">{state.edges.left}</b>
          <b className="edge right">{state.edges.right}</b>
        </>
      )}
    </div>
  )
}
