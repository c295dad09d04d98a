interface Props {
  /** One without a name has orders below it. */
  readonly of: readonly (string | number)[]
  /** Those that have numbers below them. */
  readonly numbers?: readonly (string | number)[]
}

/** What stands above the columns of a table. */
export function Heads({ of, numbers = [] }: Props) {
  return (
    <thead>
      <tr>
        {of.map((name) => (
          <th key={name} scope="col" class={numbers.includes(name) ? 'number' : ''}>
            {name === '' ? <span class="unseen">orders</span> : name}
          </th>
        ))}
      </tr>
    </thead>
  )
}
