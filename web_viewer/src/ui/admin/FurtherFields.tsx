import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import type { Draft } from './DeviceDialog'
import { Line } from './fields'

const SYNTAXES_CHARACTERS_MAX = 2000
const WORDS_CHARACTERS_MAX = 200
const DIGITS_MAX = 5

/** What few devices need; open where something of it is set. */
export function FurtherFields({
  draft,
  onChange,
}: {
  draft: Draft
  onChange: (some: Partial<Draft>) => void
}): ReactElement {
  const { t } = useTranslation()
  const { charset, syntaxes, certificate, associations_max } = draft
  return (
    <details className="form-further" open={Boolean(charset || syntaxes || certificate || associations_max)}>
      <summary>{t('admin.devices.further')}</summary>
      <Line
        label={t('admin.devices.charset')}
        testId="device-charset"
        value={charset}
        max={WORDS_CHARACTERS_MAX}
        hint={t('admin.devices.charsetHint')}
        onChange={typed => onChange({ charset: typed })}
      />
      <Line
        label={t('admin.devices.syntaxes')}
        testId="device-syntaxes"
        value={syntaxes}
        max={SYNTAXES_CHARACTERS_MAX}
        hint={t('admin.devices.syntaxesHint')}
        onChange={typed => onChange({ syntaxes: typed })}
      />
      <Line
        label={t('admin.devices.certificate')}
        testId="device-certificate"
        value={certificate}
        max={WORDS_CHARACTERS_MAX}
        hint={t('admin.devices.certificateHint')}
        onChange={typed => onChange({ certificate: typed })}
      />
      <Line
        label={t('admin.devices.associations')}
        testId="device-associations"
        value={associations_max}
        max={DIGITS_MAX}
        hint={t('admin.devices.associationsHint')}
        onChange={typed => onChange({ associations_max: typed.replace(/\D/g, '') })}
      />
    </details>
  )
}
