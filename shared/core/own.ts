/**
 * The member of a table that a name from outside may choose: what every object inherits (`constructor`,
 * `__proto__`) is no member. A table that grows by such names is a Map.
 */
export function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined
}
