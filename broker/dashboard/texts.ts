/** All views but fleet and grid: one file, as the parts that they share would be many small ones: 2.8 KB more, compressed. */
export { Care } from './care/care.tsx'
export { Events } from './events/events.tsx'
export { Tasks } from './tasks/tasks.tsx'
export { Topics } from './topics/topics.tsx'
