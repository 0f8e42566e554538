import type { ReactElement, ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { useChange } from '../../data/administration'
import { describeRefusal } from './refusal'

interface Props {
  change: ReturnType<typeof useChange<void>>
  /** On its button, and that button's name for tests. */
  words: string
  testId: string
  /** Whether it can be sent as it is. */
  ready: boolean
  className?: string
  children: ReactNode
}

/** Fields, why they were not taken, and the button; what was said against them goes once they are changed. */
export function Form({ change, words, testId, ready, className, children }: Props): ReactElement {
  const { t } = useTranslation()
  return (
    <form
      className={className}
      onChange={() => change.error && change.reset()}
      onSubmit={event => {
        event.preventDefault()
        change.mutate()
      }}
    >
      {children}
      <Refused error={change.error} />
      <p className="form-end">
        <button
          type="submit"
          className="button primary"
          disabled={!ready || change.isPending}
          data-testid={testId}
        >
          {change.isPending ? t('admin.saving') : words}
        </button>
      </p>
    </form>
  )
}

/** Why something was not taken. */
export function Refused({ error }: { error: Error | null }): ReactElement | null {
  const { t } = useTranslation()
  if (!error) return null
  return (
    <p className="form-error" role="alert" data-testid="refused">
      {describeRefusal(error, t)}
    </p>
  )
}
