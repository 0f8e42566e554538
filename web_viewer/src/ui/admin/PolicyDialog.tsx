import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Facility, type Policy, type Scope, setPolicy } from '../../api/administration'
import { codesIn, useChange, usePolicy } from '../../data/administration'
import { Dialog } from '../Dialog'
import { facilityName } from '../format'
import { Loading } from '../Loading'
import { Form, Refused } from './Form'
import { Line } from './fields'

const SCOPES: Scope[] = ['none', 'registered', 'region']
const VALUES_CHARACTERS_MAX = 1000

/** What other facilities see, in words that say what it means. */
export function PolicyDialog({
  facility,
  onClose,
}: {
  facility: Facility
  onClose: () => void
}): ReactElement {
  const { t, i18n } = useTranslation()
  const policy = usePolicy(facility.code)
  const title = t('admin.sharing.title', { name: facilityName(facility, i18n.language) })
  return (
    <Dialog className="form" testId="policy-dialog" title={title} onClose={onClose}>
      <Refused error={policy.error} />
      {policy.isPending && <Loading />}
      {policy.data && <PolicyForm code={facility.code} policy={policy.data} onClose={onClose} />}
    </Dialog>
  )
}

interface FormProps {
  code: string
  policy: Policy
  onClose: () => void
}

function PolicyForm({ code, policy, onClose }: FormProps): ReactElement {
  const { t } = useTranslation()
  const [scope, setScope] = useState(policy.scope)
  const [modalities, setModalities] = useState(policy.modalities.join(' '))
  const [bodyParts, setBodyParts] = useState(policy.sensitive_body_parts.join(' '))
  const save = useChange(
    () =>
      setPolicy(code, {
        scope,
        modalities: codesIn(modalities),
        sensitive_body_parts: codesIn(bodyParts),
      }),
    onClose,
  )
  return (
    <Form change={save} words={t('admin.save')} testId="save-policy" ready>
      <fieldset className="scopes">
        <legend className="visually-hidden">{t('admin.facilities.sharing')}</legend>
        {SCOPES.map(one => (
          <label key={one} className="scope">
            <input
              type="radio"
              name="scope"
              data-testid={`scope-${one}`}
              checked={one === scope}
              onChange={() => setScope(one)}
            />
            <span>
              <b>{t(`admin.sharing.scopes.${one}`)}</b>
              {t(`admin.sharing.${one}`)}
            </span>
          </label>
        ))}
      </fieldset>
      {scope !== 'none' && (
        <>
          <h3>{t('admin.sharing.limits')}</h3>
          <Line
            label={t('admin.sharing.modalities')}
            testId="policy-modalities"
            value={modalities}
            max={VALUES_CHARACTERS_MAX}
            hint={t('admin.sharing.modalitiesHint')}
            onChange={setModalities}
          />
          <Line
            label={t('admin.sharing.bodyParts')}
            testId="policy-body-parts"
            value={bodyParts}
            max={VALUES_CHARACTERS_MAX}
            hint={t('admin.sharing.bodyPartsHint')}
            onChange={setBodyParts}
          />
        </>
      )}
      <p className="form-note">{t('admin.sharing.who')}</p>
      <p className="form-note">{t('admin.sharing.when')}</p>
    </Form>
  )
}
