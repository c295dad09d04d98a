import type { ComponentChildren } from 'preact'

interface Props {
  readonly title: ComponentChildren
  readonly name: string
  readonly placeholder?: string
  readonly required?: boolean
  readonly autocomplete?: 'username' | 'off'
  readonly defaultValue?: string
}

/** For a name or an id, which is no prose: taken as it is typed, and not corrected. */
export function WordField({ title, ...input }: Props) {
  return (
    <label>
      {title} <input autocapitalize="none" spellcheck={false} {...input} />
    </label>
  )
}
