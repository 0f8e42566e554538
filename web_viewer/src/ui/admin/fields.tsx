import { type ReactElement, type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'

interface LineProps {
  label: string
  testId: string
  value: string
  onChange: (value: string) => void
  max: number
  hint?: string | undefined
  disabled?: boolean
}

/** A line of text with its label, and what it may hold. */
export function Line({ label, testId, value, onChange, max, hint, disabled }: LineProps): ReactElement {
  const hintId = useId()
  return (
    <label className="form-field">
      {label}
      <input
        data-testid={testId}
        value={value}
        maxLength={max}
        disabled={disabled}
        autoComplete="off"
        spellCheck={false}
        aria-describedby={hint ? hintId : undefined}
        onChange={event => onChange(event.target.value)}
      />
      {hint && <small id={hintId}>{hint}</small>}
    </label>
  )
}

export type Option = readonly [value: string, label: string]

interface ChoiceProps {
  label: string
  testId: string
  value: string
  options: readonly Option[]
  onChange: (value: string) => void
  hint?: string | undefined
  disabled?: boolean
}

/** One of several. */
export function Choice(props: ChoiceProps): ReactElement {
  const hintId = useId()
  return (
    <label className="form-field">
      {props.label}
      <select
        data-testid={props.testId}
        value={props.value}
        disabled={props.disabled}
        aria-describedby={props.hint ? hintId : undefined}
        onChange={event => props.onChange(event.target.value)}
      >
        {props.options.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      {props.hint && <small id={hintId}>{props.hint}</small>}
    </label>
  )
}

export function Check(props: {
  label: string
  testId: string
  checked: boolean
  onChange: (checked: boolean) => void
}): ReactElement {
  return (
    <label className="form-check">
      <input
        type="checkbox"
        data-testid={props.testId}
        checked={props.checked}
        onChange={event => props.onChange(event.target.checked)}
      />
      {props.label}
    </label>
  )
}

interface SureProps {
  words: string
  /** What is asked before it is done; without one nothing is. */
  question?: string
  testId: string
  disabled?: boolean
  onSure: () => void
}

/** A button that asks once more, in its own place. */
export function Sure({ words, question, testId, disabled, onSure }: SureProps): ReactElement {
  const { t } = useTranslation()
  const [asking, setAsking] = useState(false)
  const asked = useRef(false)
  const button = useRef<HTMLButtonElement>(null)
  // The harmless answer has the focus: a second key press by habit does no harm.
  useEffect(() => {
    if (asking || asked.current) button.current?.focus()
    asked.current = asking
  }, [asking])
  function said(yes: boolean): void {
    setAsking(false)
    if (yes) onSure()
  }
  if (!asking)
    return (
      <button
        ref={button}
        type="button"
        className="button"
        data-testid={testId}
        disabled={disabled}
        onClick={() => (question ? setAsking(true) : onSure())}
      >
        {words}
      </button>
    )
  return (
    <span className="sure">
      <span role="alert">{question}</span>
      <button
        type="button"
        className="button danger"
        data-testid={`${testId}-yes`}
        onClick={() => said(true)}
      >
        {t('admin.users.yes')}
      </button>
      <button ref={button} type="button" className="button" onClick={() => said(false)}>
        {t('admin.users.no')}
      </button>
    </span>
  )
}

/** A word about how something stands. */
export function Badge({
  kind,
  children,
}: {
  kind: 'plain' | 'bad' | 'good'
  children: ReactNode
}): ReactElement {
  return <span className={`badge ${kind}`}>{children}</span>
}

/** The head of a table whose last column has buttons. */
export function Head({ words }: { words: string[] }): ReactElement {
  return (
    <thead>
      <tr>
        {words.map(word => (
          <th key={word} scope="col">
            {word}
          </th>
        ))}
        <td />
      </tr>
    </thead>
  )
}
