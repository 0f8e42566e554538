import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Facility, saveDepartment } from '../../api/administration'
import { isCode, useChange, useDepartments } from '../../data/administration'
import { Dialog } from '../Dialog'
import { facilityName } from '../format'
import { Form, Refused } from './Form'
import { Line } from './fields'

const CODE_CHARACTERS_MAX = 16
const NAME_CHARACTERS_MAX = 200

/** The departments of a facility; they are added and named, and stay. */
export function DepartmentsDialog({
  facility,
  onClose,
}: {
  facility: Facility
  onClose: () => void
}): ReactElement {
  const { t, i18n } = useTranslation()
  const list = useDepartments(facility.code)
  const [code, setCode] = useState('')
  const [name, setName] = useState('')
  const save = useChange(
    () => saveDepartment(facility.code, { code, name: name.trim() }),
    () => {
      setCode('')
      setName('')
    },
  )
  const title = t('admin.facilities.departmentsOf', { name: facilityName(facility, i18n.language) })
  return (
    <Dialog className="form" testId="departments-dialog" title={title} onClose={onClose}>
      <Refused error={list.error} />
      {list.data?.length === 0 && <p className="form-note">{t('admin.facilities.noDepartments')}</p>}
      <ul className="departments">
        {list.data?.map(one => (
          <li key={one.code} data-testid="department">
            <b>{one.name}</b>
            <small>{one.code}</small>
          </li>
        ))}
      </ul>
      <Form
        change={save}
        words={t('admin.add')}
        testId="save-department"
        ready={isCode(code)}
        className="form-rest"
      >
        <Line
          label={t('admin.facilities.departmentCode')}
          testId="department-code"
          value={code}
          max={CODE_CHARACTERS_MAX}
          hint={t('admin.facilities.departmentHint')}
          onChange={typed => setCode(typed.toUpperCase())}
        />
        <Line
          label={t('admin.facilities.departmentName')}
          testId="department-name"
          value={name}
          max={NAME_CHARACTERS_MAX}
          onChange={setName}
        />
      </Form>
    </Dialog>
  )
}
