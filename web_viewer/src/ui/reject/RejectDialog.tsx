import { Link } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { CODES, type Code, reject } from '../../api/rejections'
import type { Manifest } from '../../api/types'
import { useChange } from '../../data/administration'
import { shownId } from '../../data/residents'
import { Form } from '../admin/Form'
import { Choice, Line, type Option } from '../admin/fields'
import { Dialog } from '../Dialog'
import { nameLines } from '../format'
import '../styles/adminForms.css'

const REASON_CHARACTERS_MAX = 500

interface Props {
  study: Manifest
  onClose: () => void
}

/** What of a study is rejected, and why. */
export function RejectDialog({ study, onClose }: Props): ReactElement {
  const { t } = useTranslation()
  const [done, setDone] = useState(false)
  const title = t('reject.title', { name: nameLines(study).main ?? shownId(study.patient_id) ?? '' })
  return (
    <Dialog className="form" testId="reject-dialog" title={title} icon="reject" onClose={onClose}>
      {done ? <Done /> : <Ask study={study} onDone={() => setDone(true)} />}
    </Dialog>
  )
}

function Ask({ study, onDone }: { study: Manifest; onDone: () => void }): ReactElement {
  const { t } = useTranslation()
  const [series, setSeries] = useState('')
  const [code, setCode] = useState<Code | ''>('')
  const [reason, setReason] = useState('')
  const change = useChange(
    () =>
      reject({
        study_uid: study.study_uid,
        series_uid: series,
        code: code as Code,
        reason,
        facility: study.facility?.code ?? '',
      }),
    onDone,
  )
  const all: Option = ['', t('reject.study', { count: study.instance_count })]
  const each = study.series.map((one): Option => {
    const name = [one.number, one.modality, one.description].filter(Boolean).join(' ')
    return [one.series_uid, t('reject.series', { name, count: one.instance_count })]
  })
  const why: Option[] = [
    ['', t('admin.choose')],
    ...CODES.map((one): Option => [one, t(`reject.codes.${one}`)]),
  ]
  return (
    <Form change={change} words={t('reject.submit')} testId="reject-submit" ready={code !== ''}>
      <p>{t('reject.text')}</p>
      <Choice
        label={t('reject.what')}
        testId="reject-what"
        value={series}
        options={[all, ...each]}
        onChange={setSeries}
      />
      <Choice
        label={t('reject.why')}
        testId="reject-why"
        value={code}
        options={why}
        onChange={value => setCode(value as Code | '')}
      />
      <Line
        label={t('reject.reason')}
        testId="reject-reason"
        value={reason}
        onChange={setReason}
        max={REASON_CHARACTERS_MAX}
        hint={t('reject.reasonHint')}
      />
    </Form>
  )
}

function Done(): ReactElement {
  const { t } = useTranslation()
  return (
    <>
      <p data-testid="rejected">{t('reject.done')}</p>
      <p className="form-end">
        <Link to="/admin" search={{ tab: 'bin' }} className="button primary" data-testid="to-bin">
          {t('reject.bin')}
        </Link>
      </p>
    </>
  )
}
