/** The views, by who may have them. The first is there at once, the others together when one is wanted. */
import type { ComponentType } from 'preact'
import type { HttpRight } from '../../shared/protocol/http-rights.ts'
import { Fleet } from './fleet/fleet.tsx'

export interface View {
  readonly id: string
  readonly title: string
  readonly right: HttpRight
  load(): ComponentType | Promise<ComponentType>
}

type Other = keyof typeof import('./others.ts')

const other = (name: Other) => async (): Promise<ComponentType> =>
  (await import('./others.ts'))[name]

export const VIEWS: readonly View[] = [
  { id: 'fleet', title: 'Fleet', right: 'read', load: () => Fleet },
  { id: 'grid', title: 'Grid', right: 'read', load: other('Grid') },
  { id: 'tasks', title: 'Tasks', right: 'tasks', load: other('Tasks') },
  { id: 'events', title: 'Events', right: 'read', load: other('Events') },
  { id: 'topics', title: 'Topics', right: 'read', load: other('Topics') },
  { id: 'care', title: 'Care', right: 'read', load: other('Care') },
]
