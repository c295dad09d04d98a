import type { ComponentType } from 'preact'
import type { HttpRight } from '../../../shared/protocol/http-rights.ts'
import { Withheld } from '../parts/withheld.tsx'
import { route } from '../route.ts'
import { may } from '../session.ts'
import { Backup } from './backup.tsx'
import { Enrolment } from './enrolment.tsx'
import { Security } from './security.tsx'
import { Upgrades } from './upgrades.tsx'
import { Users } from './users.tsx'
import { Versions } from './versions.tsx'

interface Part {
  readonly id: string
  readonly title: string
  readonly right: HttpRight
  readonly Content: ComponentType
}

const PARTS: readonly Part[] = [
  { id: 'versions', title: 'Versions', right: 'read', Content: Versions },
  { id: 'upgrades', title: 'Upgrades', right: 'read', Content: Upgrades },
  { id: 'enrolment', title: 'Enrolment', right: 'operate', Content: Enrolment },
  { id: 'users', title: 'Users', right: 'administer', Content: Users },
  { id: 'security', title: 'Security', right: 'administer', Content: Security },
  { id: 'backup', title: 'Backup', right: 'administer', Content: Backup },
]

/** What keeps the fleet well: who may come in, and which version each board runs or is to run. */
export function Care() {
  const parts = PARTS.filter(({ right }) => may(right))
  const shown = parts.find(({ id }) => id === route.value.item) ?? parts[0]
  if (shown === undefined) return null
  const { Content } = shown
  return (
    <>
      <nav class="parts" aria-label="Parts of care">
        {parts.map(({ id, title }) => (
          <a key={id} href={`#care/${id}`} aria-current={id === shown.id ? 'page' : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <Withheld all={PARTS} of={route.value.item} />
      <Content />
    </>
  )
}
