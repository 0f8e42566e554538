import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Device, removeDevice } from '../../api/administration'
import { remoteOf, useChange, useDevices, useRemotes } from '../../data/administration'
import { facilityName } from '../format'
import { ErrorState } from '../list/states'
import type { Looking } from './AdminPage'
import { DeviceDialog } from './DeviceDialog'
import { EchoButton } from './EchoButton'
import { FacilityFilter } from './FacilityChoice'
import { Refused } from './Form'
import { Badge, Head, Sure } from './fields'

const COLUMNS = ['title', 'address', 'may'] as const

/** Who may call the node, and for what. */
export function DevicesTab({ own, facilities }: Looking): ReactElement {
  const { t } = useTranslation()
  const [facility, setFacility] = useState('')
  const [open, setOpen] = useState<Device | 'new' | null>(null)
  const list = useDevices()
  const remove = useChange(removeDevice)
  const devices = (list.data ?? []).filter(one => !facility || one.facility === facility)
  const close = (): void => setOpen(null)
  return (
    <>
      <div className="admin-tools">
        {own === null && <FacilityFilter facilities={facilities} value={facility} onChange={setFacility} />}
        <span className="grow" />
        <button
          type="button"
          className="button primary"
          data-testid="add-device"
          disabled={facilities.length === 0}
          onClick={() => setOpen('new')}
        >
          {t('admin.devices.add')}
        </button>
      </div>
      <Refused error={remove.error} />
      {list.error && <ErrorState error={list.error} onRetry={() => void list.refetch()} inline />}
      {list.isPending && <p className="admin-none">{t('admin.loading')}</p>}
      {devices.length > 0 && (
        <Table
          devices={devices}
          own={own}
          facilities={facilities}
          onEdit={setOpen}
          onRemove={id => remove.mutate(id)}
        />
      )}
      {list.data && devices.length === 0 && <p className="admin-none">{t('admin.devices.none')}</p>}
      {open && (
        <DeviceDialog
          own={own}
          facilities={facilities}
          chosen={facility}
          {...(open === 'new' ? {} : { device: open })}
          onClose={close}
        />
      )}
    </>
  )
}

interface TableProps extends Looking {
  devices: Device[]
  onEdit: (device: Device) => void
  onRemove: (id: number) => void
}

function Table({ devices, own, facilities, onEdit, onRemove }: TableProps): ReactElement {
  const { t, i18n } = useTranslation()
  const remotes = useRemotes().data ?? []
  const nameOf = (code: string): string =>
    facilityName(facilities.find(one => one.code === code) ?? null, i18n.language) ?? code
  return (
    <table className="admin-table">
      <Head
        words={[
          ...COLUMNS.map(name => t(`admin.devices.${name}`)),
          ...(own === null ? [t('admin.facility')] : []),
        ]}
      />
      <tbody>
        {devices.map(one => (
          <tr key={one.id} data-testid="device-row" data-title={one.ae_title}>
            <td className="first">
              <b>{one.ae_title}</b>
              <small>{one.description}</small>
            </td>
            <td data-label={t('admin.devices.address')}>{one.address}</td>
            <td data-label={t('admin.devices.may')}>
              <May device={one} />
            </td>
            {own === null && <td data-label={t('admin.facility')}>{nameOf(one.facility)}</td>}
            <td className="actions">
              <EchoButton remote={remoteOf(one, remotes)} />
              <button type="button" className="button" data-testid="edit-device" onClick={() => onEdit(one)}>
                {t('admin.edit')}
              </button>
              <Sure
                words={t('admin.devices.remove')}
                question={t('admin.devices.removeSure')}
                testId="remove-device"
                onSure={() => onRemove(one.id)}
              />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function May({ device }: { device: Device }): ReactElement {
  const { t } = useTranslation()
  const words = device.roles.map(role => t(`admin.devices.roles.${role}`)).join(' · ')
  const limits = [
    device.certificate && t('admin.devices.tls'),
    device.associations_max !== null && t('admin.devices.atOnce', { count: device.associations_max }),
    device.charset,
  ].filter(Boolean)
  return (
    <>
      {device.emergency && <Badge kind="bad">{t('admin.devices.emergencyBadge')}</Badge>}{' '}
      {words || t('admin.devices.nothing')}
      {limits.length > 0 && <small>{limits.join(' · ')}</small>}
    </>
  )
}
