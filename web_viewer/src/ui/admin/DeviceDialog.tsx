import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import {
  addDevice,
  changeDevice,
  type Device,
  type DeviceRole,
  type NewDevice,
} from '../../api/administration'
import { useChange, wordsIn } from '../../data/administration'
import { Dialog } from '../Dialog'
import type { Looking } from './AdminPage'
import { facilityOptions } from './FacilityChoice'
import { Form } from './Form'
import { FurtherFields } from './FurtherFields'
import { Check, Choice, Line } from './fields'

const ROLES: DeviceRole[] = ['store', 'query', 'retrieve', 'worklist']
const TITLE_CHARACTERS_MAX = 16
const ADDRESS_CHARACTERS_MAX = 64
const DESCRIPTION_CHARACTERS_MAX = 200

/** A device as it is typed: lists and numbers are text. */
export type Draft = Omit<NewDevice, 'syntaxes' | 'associations_max'> & {
  syntaxes: string
  associations_max: string
}

const draftOf = (device: NewDevice): Draft => ({
  ...device,
  syntaxes: device.syntaxes.join(' '),
  associations_max: device.associations_max === null ? '' : String(device.associations_max),
})

const newAt = (facility: string): Draft => ({
  facility,
  ae_title: '',
  address: '',
  description: '',
  roles: [...ROLES],
  charset: '',
  syntaxes: '',
  certificate: '',
  associations_max: '',
  emergency: false,
})

const made = (draft: Draft): NewDevice => ({
  ...draft,
  syntaxes: wordsIn(draft.syntaxes),
  associations_max: draft.associations_max ? Number(draft.associations_max) : null,
})

interface Props extends Looking {
  /** None: a new one. */
  device?: Device
  /** The facility that the list is narrowed to. */
  chosen: string
  onClose: () => void
}

export function DeviceDialog({ device, own, facilities, chosen, onClose }: Props): ReactElement {
  const { t, i18n } = useTranslation()
  const [draft, setDraft] = useState<Draft>(() => startOf(device) ?? newAt(own ?? chosen))
  const change = (some: Partial<Draft>): void => setDraft({ ...draft, ...some })
  const save = useChange(
    () => (device ? changeDevice(device.id, made(draft)) : addDevice(made(draft))),
    onClose,
  )
  function may(role: DeviceRole, is: boolean): void {
    change({ roles: ROLES.filter(one => (one === role ? is : draft.roles.includes(one))) })
  }
  const title = device ? t('admin.devices.edit', { name: device.ae_title }) : t('admin.devices.new')
  return (
    <Dialog className="form" testId="device-dialog" title={title} onClose={onClose}>
      <Form
        change={save}
        words={t(device ? 'admin.save' : 'admin.devices.add')}
        testId="save-device"
        ready={Boolean(draft.facility && draft.ae_title.trim() && draft.address.trim())}
      >
        {own === null && (
          <Choice
            label={t('admin.facility')}
            testId="device-facility"
            value={draft.facility}
            options={[
              ...(draft.facility ? [] : [['', t('admin.choose')] as const]),
              ...facilityOptions(facilities, i18n.language),
            ]}
            onChange={facility => change({ facility })}
          />
        )}
        <Line
          label={t('admin.devices.title')}
          testId="device-title"
          value={draft.ae_title}
          max={TITLE_CHARACTERS_MAX}
          onChange={ae_title => change({ ae_title })}
        />
        <Line
          label={t('admin.devices.address')}
          testId="device-address"
          value={draft.address}
          max={ADDRESS_CHARACTERS_MAX}
          hint={t('admin.devices.addressHint')}
          onChange={address => change({ address })}
        />
        <Line
          label={t('admin.devices.description')}
          testId="device-description"
          value={draft.description}
          max={DESCRIPTION_CHARACTERS_MAX}
          onChange={description => change({ description })}
        />
        <fieldset className="form-checks">
          <legend>{t('admin.devices.may')}</legend>
          {ROLES.map(role => (
            <Check
              key={role}
              label={t(`admin.devices.roles.${role}`)}
              testId={`device-may-${role}`}
              checked={draft.roles.includes(role)}
              onChange={is => may(role, is)}
            />
          ))}
        </fieldset>
        <Check
          label={t('admin.devices.emergency')}
          testId="device-emergency"
          checked={draft.emergency}
          onChange={emergency => change({ emergency })}
        />
        <FurtherFields draft={draft} onChange={change} />
      </Form>
    </Dialog>
  )
}

function startOf(device: Device | undefined): Draft | null {
  if (!device) return null
  const { id: _, ...rest } = device
  return draftOf(rest)
}
