import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import type { HttpRight } from '../../../shared/protocol/http-rights.ts'
import { notForYou } from '../parts/withheld.tsx'
import { may } from '../session.ts'

interface Props {
  /** What it is, with a capital: it begins a sentence. */
  readonly title: string
  readonly right: HttpRight
  readonly children: ComponentChildren
}

/** Orders that are seen by all, and for who may not give them say so. */
export function Allowed({ title, right, children }: Props) {
  const why = useId()
  if (may(right)) return <>{children}</>
  return (
    <>
      <fieldset disabled aria-describedby={why}>
        {children}
      </fieldset>
      <p class="soft" id={why}>
        {notForYou(title)}
      </p>
    </>
  )
}
