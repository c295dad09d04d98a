/**
 * What filters match [MQTT 3.1.1 §4.7], and what two of them match both. `+` is any one level, `#` all that follow,
 * and the level before it; a wildcard in the first level never stands for a name that begins with `$`.
 * The topics that two filters have in common are those of a third, or there are none.
 */

/** Whether a filter matches a topic. */
export function filterMatches(filter: string, topic: string): boolean {
  // [MQTT-4.7.2-1]
  if (topic.startsWith('$') && !filter.startsWith('$')) return false
  let f = 0
  let t = 0
  for (;;) {
    const wildcard = filter.charCodeAt(f)
    if (wildcard === 35) return true // #
    const filterEnd = endOfLevel(filter, f)
    const topicEnd = endOfLevel(topic, t)
    if (wildcard !== 43 /* + */) {
      if (filterEnd - f !== topicEnd - t) return false
      if (!topic.startsWith(filter.slice(f, filterEnd), t)) return false
    }
    const isFilterDone = filterEnd === filter.length
    if (topicEnd === topic.length) {
      // `a/#` matches `a` as well.
      return isFilterDone || filter.slice(filterEnd) === '/#'
    }
    if (isFilterDone) return false
    f = filterEnd + 1
    t = topicEnd + 1
  }
}

function endOfLevel(text: string, from: number): number {
  const at = text.indexOf('/', from)
  return at < 0 ? text.length : at
}

/** Whether MQTT takes it as a filter. */
export function isFilter(text: string): boolean {
  if (text === '' || text.includes('\0')) return false
  const levels = text.split('/')
  return levels.every((level, at) => {
    if (level === '#') return at === levels.length - 1
    return level === '+' || !/[+#]/.test(level)
  })
}

/** The filter of what both match, or nothing. */
export function commonFilter(one: string, other: string): string | undefined {
  const [a, b] = [one.split('/'), other.split('/')]
  if (isReserved(a) !== isReserved(b)) return undefined
  const levels: string[] = []
  for (let at = 0; ; at++) {
    const [x, y] = [a[at], b[at]]
    if (x === '#' || y === '#') {
      const rest = (x === '#' ? b : a).slice(at)
      return [...levels, ...rest].join('/')
    }
    if (x === undefined || y === undefined) return x === y ? levels.join('/') : undefined
    if (x !== y && x !== '+' && y !== '+') return undefined
    levels.push(x === '+' ? y : x)
  }
}

function isReserved([first]: readonly string[]): boolean {
  return first!.startsWith('$')
}
