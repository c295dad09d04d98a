import type { HttpRight } from '../../../shared/protocol/http-rights.ts'
import { may, who } from '../session.ts'

interface Props {
  readonly all: readonly {
    readonly id: string
    readonly title: string
    readonly right: HttpRight
  }[]
  /** The one that the address names. */
  readonly of: string | undefined
}

/** Says it where the address names what the role of who looks may not see: something else is shown then. */
export function Withheld({ all, of }: Props) {
  const wanted = all.find(({ id }) => id === of)
  if (who.value === undefined || wanted === undefined || may(wanted.right)) return null
  return (
    <p class="note mild" role="alert">
      {notForYou(wanted.title)}
    </p>
  )
}

export function notForYou(title: string): string {
  const roles = who.value?.roles.join(', ') || 'none'
  return `${title} is not for your role (${roles}): an admin can change that.`
}
