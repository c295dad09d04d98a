import type { Mood, Shape } from './condition.ts'

const PATHS: Readonly<Record<Shape, string>> = {
  disc: 'M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1Z',
  half: 'M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1Zm0 1.5v7a3.5 3.5 0 0 0 0-7Z',
  ring: 'M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1Zm0 1.6a3.4 3.4 0 1 0 0 6.8 3.4 3.4 0 0 0 0-6.8Z',
  cross:
    'M2.5 1.2 6 4.7l3.5-3.5 1.3 1.3L7.3 6l3.5 3.5-1.3 1.3L6 7.3l-3.5 3.5-1.3-1.3L4.7 6 1.2 2.5Z',
  arrow: 'M1 5h6L4.6 2.6 6 1.2 10.8 6 6 10.8 4.6 9.4 7 7H1Z',
}

/** A shape and a colour for how something is. The word stands beside it: neither is needed to read it. */
export function Mark({ shape, mood }: { readonly shape: Shape; readonly mood: Mood }) {
  return (
    <svg class={`mark ${mood}`} viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      <path d={PATHS[shape]} fill-rule="evenodd" />
    </svg>
  )
}
