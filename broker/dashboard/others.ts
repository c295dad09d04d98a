/** All views but the first: one file, as two of them, each compressed for itself, would be 0.8 KB more. */
// biome-ignore-all assist/source/organizeImports: compressed by their names they would be 0.7 KB more
export { Grid } from './grid/grid.tsx'
export { Tasks } from './tasks/tasks.tsx'
export { Care } from './care/care.tsx'
export { Topics } from './topics/topics.tsx'
export { Events } from './events/events.tsx'
