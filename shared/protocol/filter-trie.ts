/**
 * Values by topic filter, and those whose filter matches a topic [MQTT 3.1.1 §4.7]. A level of a topic is
 * met by itself and by `+`, so a topic of n levels meets at most 2^n branches at its last one, however many
 * filters there are: the levels of a topic are bounded.
 */
interface Branch<Value> {
  branches: Map<string, Branch<Value>> | undefined
  value: Value | undefined
}

export class FilterTrie<Value> {
  readonly #root = newBranch<Value>()

  get(filter: string): Value | undefined {
    let branch: Branch<Value> | undefined = this.#root
    for (const level of filter.split('/')) branch = branch?.branches?.get(level)
    return branch?.value
  }

  set(filter: string, value: Value): void {
    let branch = this.#root
    for (const level of filter.split('/')) {
      branch.branches ??= new Map()
      let next = branch.branches.get(level)
      if (next === undefined) {
        next = newBranch()
        branch.branches.set(level, next)
      }
      branch = next
    }
    branch.value = value
  }

  delete(filter: string): void {
    remove(this.#root, filter.split('/'), 0)
  }

  matching(topic: string): Value[] {
    const found: Value[] = []
    const levels = topic.split('/')
    // No filter that begins with a wildcard matches [MQTT-4.7.2-1].
    if (topic.startsWith('$')) {
      const branch = this.#root.branches?.get(levels[0]!)
      if (branch !== undefined) collect(branch, levels, 1, found)
    } else {
      collect(this.#root, levels, 0, found)
    }
    return found
  }
}

function newBranch<Value>(): Branch<Value> {
  return { branches: undefined, value: undefined }
}

function collect<Value>(
  { branches, value }: Branch<Value>,
  levels: readonly string[],
  at: number,
  found: Value[],
): void {
  const isEnd = at === levels.length
  if (isEnd && value !== undefined) found.push(value)
  if (branches === undefined) return
  // `a/#` matches `a` as well.
  const rest = branches.get('#')?.value
  if (rest !== undefined) found.push(rest)
  if (isEnd) return
  const same = branches.get(levels[at]!)
  if (same !== undefined) collect(same, levels, at + 1, found)
  const any = branches.get('+')
  if (any !== undefined) collect(any, levels, at + 1, found)
}

/** True if nothing is left of the branch. */
function remove<Value>(branch: Branch<Value>, levels: readonly string[], at: number): boolean {
  const level = levels[at]
  if (level === undefined) branch.value = undefined
  else {
    const next = branch.branches?.get(level)
    if (next !== undefined && remove(next, levels, at + 1)) branch.branches!.delete(level)
    if (branch.branches?.size === 0) branch.branches = undefined
  }
  return branch.value === undefined && branch.branches === undefined
}
