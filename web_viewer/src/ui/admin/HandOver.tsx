import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'

interface Props {
  name: string
  password: string
  onClose: () => void
}

/** A password that is good for one sign-in, to be told to its user; one click marks it for copying. */
export function HandOver({ name, password, onClose }: Props): ReactElement {
  const { t } = useTranslation()
  return (
    <div className="hand-over" data-testid="hand-over">
      <p role="status">{t('admin.users.handOver')}</p>
      <dl>
        <dt>{t('admin.users.name')}</dt>
        <dd>{name}</dd>
        <dt>{t('admin.users.password')}</dt>
        <dd data-testid="handed-password">{password}</dd>
      </dl>
      <p>{t('admin.users.passwordHint')}</p>
      <p className="form-end">
        <button type="button" className="button" data-testid="handed-over" onClick={onClose}>
          {t('help.close')}
        </button>
      </p>
    </div>
  )
}
