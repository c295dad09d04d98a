/**
 * Versions of programs: three numbers, perhaps with a part that stands before the release, as `1.2.0-rc.1`
 * (semver.org 2.0.0, 9 to 11). What comes after a release, with `+`, is not used here, and is no version.
 */

/** Text that is longer is no version of ours. */
const LENGTH_MAX = 64
const VERSION = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?$/

export function isVersion(text: string): boolean {
  return text.length <= LENGTH_MAX && VERSION.test(text)
}

/** Below 0 if `left` is older, above 0 if it is newer. What is no version is older than any. */
export function compareVersions(left: string, right: string): number {
  const [first, second] = [partsOf(left), partsOf(right)]
  for (let at = 0; at < 3; at++) {
    const difference = (first.numbers[at] ?? -1) - (second.numbers[at] ?? -1)
    if (difference !== 0) return difference
  }
  return comparePrereleases(first.before, second.before)
}

/** Whether what may take the place of versions up to `downgradeFrom` may take that of the one that is `installed`. */
export function mayReplace(downgradeFrom: unknown, installed: string): boolean {
  if (typeof downgradeFrom !== 'string' || !isVersion(downgradeFrom)) return false
  return compareVersions(installed, downgradeFrom) <= 0
}

function partsOf(text: string): { readonly numbers: number[]; readonly before: readonly string[] } {
  const match = isVersion(text) ? VERSION.exec(text) : null
  if (match === null) return { numbers: [], before: [] }
  const [, major, minor, patch, before] = match
  return { numbers: [major, minor, patch].map(Number), before: before?.split('.') ?? [] }
}

/** One that comes before a release is older than it; numbers are compared as such, and stand before words. */
function comparePrereleases(left: readonly string[], right: readonly string[]): number {
  if (left.length === 0 || right.length === 0) return right.length - left.length
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one, other] = [left[at], right[at]]
    if (one === undefined) return -1
    if (other === undefined) return 1
    if (one === other) continue
    const [isNumber, isOther] = [one, other].map((part) => /^\d+$/.test(part))
    if (isNumber && isOther) return Number(one) - Number(other)
    if (isNumber !== isOther) return isNumber ? -1 : 1
    return one < other ? -1 : 1
  }
  return 0
}
