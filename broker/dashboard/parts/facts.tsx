import type { ComponentChildren } from 'preact'

export type Fact = readonly [name: string, value: ComponentChildren]

interface Props {
  readonly of: readonly Fact[]
  readonly class?: string
}

/** Names, and what belongs to each. */
export function Facts({ of, ...more }: Props) {
  return (
    <dl {...more}>
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
