/** A promise of the system was broken. */
class Violation extends Error {}

export function violated(what: string): never {
  throw new Violation(what)
}
