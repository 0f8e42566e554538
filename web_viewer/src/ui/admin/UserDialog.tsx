import { type ReactElement, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Account, changeAccount, type Place } from '../../api/administration'
import { useChange } from '../../data/administration'
import { useMe } from '../../data/studies'
import { Dialog } from '../Dialog'
import type { Looking } from './AdminPage'
import { Form } from './Form'
import { HandOver } from './HandOver'
import { type PlaceDraft, PlaceFields } from './PlaceFields'
import { UserAccess } from './UserAccess'

interface Props extends Looking {
  account: Account
  onClose: () => void
}

/** What a user is and where, and how they sign in. */
export function UserDialog({ account, own, facilities, onClose }: Props): ReactElement {
  const { t } = useTranslation()
  const me = useMe()
  const mine = me.data?.user === account.name
  const [given, setGiven] = useState<string | null>(null)
  const title = t('admin.users.edit', { name: account.name })
  return (
    <Dialog className="form" testId="user-dialog" title={title} onClose={onClose}>
      {given ? (
        <HandOver name={account.name} password={given} onClose={onClose} />
      ) : (
        <>
          {mine && <p className="form-note">{t('admin.users.own')}</p>}
          <PlaceForm account={account} own={own} facilities={facilities} fixed={mine} onClose={onClose} />
          <UserAccess account={account} mine={mine} onGiven={setGiven} />
        </>
      )}
    </Dialog>
  )
}

/** Only what was changed is sent: of what others change meanwhile nothing is undone. */
function changed(account: Account, place: PlaceDraft): Partial<Place> {
  const facility = place.facility ?? null
  const moved = facility !== account.facility
  return {
    ...(place.display_name === account.display_name ? {} : { display_name: place.display_name }),
    ...(place.role === account.role ? {} : { role: place.role }),
    ...(moved ? { facility } : {}),
    ...(moved || place.department !== account.department ? { department: place.department } : {}),
  }
}

function PlaceForm({ account, own, facilities, fixed, onClose }: Props & { fixed: boolean }): ReactElement {
  const { t } = useTranslation()
  const { display_name, role, facility, department } = account
  const [place, setPlace] = useState<PlaceDraft>({ display_name, role, facility, department })
  const changes = changed(account, place)
  const save = useChange(() => changeAccount(account.name, changes), onClose)
  return (
    <Form change={save} words={t('admin.save')} testId="save-user" ready={Object.keys(changes).length > 0}>
      <PlaceFields own={own} facilities={facilities} place={place} onChange={setPlace} fixed={fixed} />
    </Form>
  )
}
