import { useMutation } from '@tanstack/react-query'
import type { ReactElement } from 'react'
import { useTranslation } from 'react-i18next'
import { echo, type Remote } from '../../api/administration'
import { Badge } from './fields'
import { describeRefusal } from './refusal'

/** Asks whether it is there, of a device that we call too: the archive knows no port of others. */
export function EchoButton({ remote }: { remote: Remote | null }): ReactElement | null {
  const { t } = useTranslation()
  const asked = useMutation({ mutationFn: echo })
  if (!remote) return null
  const came = asked.data
  return (
    <>
      <span role="status" data-testid="echoed">
        {came?.answered && (
          <Badge kind="good">{t('admin.devices.answered', { count: came.milliseconds ?? 0 })}</Badge>
        )}
        {came && !came.answered && (
          <Badge kind="bad">{t('admin.devices.unanswered', { why: came.error })}</Badge>
        )}
        {asked.error && <Badge kind="bad">{describeRefusal(asked.error, t)}</Badge>}
      </span>
      <button
        type="button"
        className="button"
        data-testid="echo"
        title={`${remote.host}:${remote.port}`}
        disabled={asked.isPending}
        onClick={() => asked.mutate(remote)}
      >
        {t(asked.isPending ? 'admin.devices.echoing' : 'admin.devices.echo')}
      </button>
    </>
  )
}
