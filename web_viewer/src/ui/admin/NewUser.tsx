import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { addAccount } from '../../api/administration'
import { madeUpPassword, useChange } from '../../data/administration'
import { Dialog } from '../Dialog'
import type { Looking } from './AdminPage'
import { Form } from './Form'
import { Line } from './fields'
import { HandOver } from './HandOver'
import { type PlaceDraft, PlaceFields } from './PlaceFields'

const NAME_CHARACTERS_MAX = 64
const PASSWORD_CHARACTERS_MAX = 256

interface Props extends Looking {
  /** The facility that the list is narrowed to. */
  chosen: string
  onClose: () => void
}

/** Adds an account, and then shows what is to be handed over. */
export function NewUser({ own, facilities, chosen, onClose }: Props): ReactElement {
  const { t } = useTranslation()
  const [name, setName] = useState('')
  const [password, setPassword] = useState(madeUpPassword)
  const [place, setPlace] = useState<PlaceDraft>({
    display_name: '',
    role: 'clinician',
    facility: own ?? (chosen || undefined),
    department: null,
  })
  const { facility } = place
  const add = useChange(() => addAccount(name.trim(), password, { ...place, facility: facility ?? null }))
  return (
    <Dialog className="form" testId="new-user" title={t('admin.users.add')} onClose={onClose}>
      {add.isSuccess ? (
        <HandOver name={name.trim()} password={password} onClose={onClose} />
      ) : (
        <Form
          change={add}
          words={t('admin.users.add')}
          testId="save-user"
          ready={Boolean(name.trim() && password && facility !== undefined)}
        >
          <Line
            label={t('admin.users.name')}
            testId="user-name"
            value={name}
            max={NAME_CHARACTERS_MAX}
            hint={t('admin.users.nameHint')}
            onChange={setName}
          />
          <PlaceFields own={own} facilities={facilities} place={place} onChange={setPlace} />
          <Line
            label={t('admin.users.password')}
            testId="user-password"
            value={password}
            max={PASSWORD_CHARACTERS_MAX}
            hint={t('admin.users.passwordHint')}
            onChange={setPassword}
          />
        </Form>
      )}
    </Dialog>
  )
}
