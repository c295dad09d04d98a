/** Keys of items, as partial results have them: those of a part in its order, those of a value sorted. */

/** Whether these are exactly the keys that were asked for, in order. */
export function areKeys(keys: unknown, asked: readonly string[]): keys is string[] {
  return (
    Array.isArray(keys) &&
    keys.length === asked.length &&
    asked.every((key, index) => keys[index] === key)
  )
}

/** A map, so that no key means something to JavaScript; in one order, however the parts came. */
export function byKey<T>(
  keys: readonly string[],
  valueAt: (index: number) => T | undefined,
): Map<string, T> {
  const order = keys.map((key, index) => ({ key, index }))
  order.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  const found = new Map<string, T>()
  for (const { key, index } of order) {
    const value = valueAt(index)
    if (value !== undefined) found.set(key, value)
  }
  return found
}
