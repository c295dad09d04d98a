/** The views, by who may have them. The first is there at once, the others when one is wanted: all but programs together. */
import type { ComponentType } from 'preact'
import type { HttpRight } from '../../shared/protocol/http-rights.ts'
import { Fleet } from './fleet/fleet.tsx'
import type { Loadable } from './loading.ts'

export interface View extends Loadable {
  readonly title: string
  readonly right: HttpRight
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
  {
    ...{ id: 'programs', title: 'Programs', right: 'read' },
    load: async () => (await import('./programs.ts')).Programs,
  },
  { id: 'care', title: 'Care', right: 'read', load: other('Care') },
]
