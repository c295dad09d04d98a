/** What is loaded once somebody writes a program or a task: a file of its own. */
export { Programs } from './programs/programs.tsx'
export { NewTask } from './tasks/new-task.tsx'
