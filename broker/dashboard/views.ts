/** The views, by who may have them. Each but the first is loaded when it is wanted. */
import type { ComponentType } from 'preact'
import type { HttpRight } from '../../shared/protocol/http-rights.ts'
import { Fleet } from './fleet/fleet.tsx'

export interface View {
  readonly id: string
  readonly title: string
  readonly right: HttpRight
  load(): ComponentType | Promise<ComponentType>
}

export const VIEWS: readonly View[] = [
  { id: 'fleet', title: 'Fleet', right: 'read', load: () => Fleet },
  {
    id: 'grid',
    title: 'Grid',
    right: 'read',
    load: async () => (await import('./grid/grid.tsx')).Grid,
  },
  {
    id: 'tasks',
    title: 'Tasks',
    right: 'tasks',
    load: async () => (await import('./tasks/tasks.tsx')).Tasks,
  },
  {
    id: 'events',
    title: 'Events',
    right: 'read',
    load: async () => (await import('./events/events.tsx')).Events,
  },
  {
    id: 'topics',
    title: 'Topics',
    right: 'read',
    load: async () => (await import('./topics/topics.tsx')).Topics,
  },
  {
    id: 'care',
    title: 'Care',
    right: 'read',
    load: async () => (await import('./care/care.tsx')).Care,
  },
]
