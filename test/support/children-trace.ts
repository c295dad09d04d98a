/**
 * Whether a process has had children, from what the kernel keeps of it: page faults of children that it
 * waited for (`cminflt` in /proc/<pid>/stat), of which even the shortest-lived has some, and those that it has
 * now. Both together miss none, however it was made, and polling loses nothing.
 */
import { readdirSync, readFileSync } from 'node:fs'

export interface ChildrenTrace {
  readonly faultsOfEnded: number
  readonly running: readonly number[]
}

export function childrenOf(pid: number): ChildrenTrace {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may have spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const running = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
    return children.split(' ').filter(Boolean).map(Number)
  })
  return { faultsOfEnded: Number(fields[8]), running }
}
