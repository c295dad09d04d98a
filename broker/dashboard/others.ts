/** All views but the first: one file, as two of them, each compressed for itself, would be 0.8 KB more. */
export { Care } from './care/care.tsx'
export { Events } from './events/events.tsx'
export { Grid } from './grid/grid.tsx'
export { Tasks } from './tasks/tasks.tsx'
export { Topics } from './topics/topics.tsx'
