import type { ComponentChildren } from 'preact'

interface Props<T> {
  /** For who cannot see that the buttons belong together. */
  readonly title: string
  readonly options: readonly (readonly [value: T, words: ComponentChildren, kind?: string])[]
  readonly chosen: T
  choose(value: T): void
}

/** One of a few. */
export function Segments<T extends string>({ title, options, chosen, choose }: Props<T>) {
  return (
    <fieldset class="segments">
      <legend class="unseen">{title}</legend>
      {options.map(([value, words, kind = '']) => (
        <button
          key={value}
          type="button"
          class={kind}
          aria-pressed={chosen === value}
          onClick={() => choose(value)}
        >
          {words}
        </button>
      ))}
    </fieldset>
  )
}
