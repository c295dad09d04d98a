/**
 * A broken assertion is a bug of ours: it throws, the process logs it and exits, and the service
 * manager starts it again. Never use it on input from outside.
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`)
}

/** Marks a branch that a closed union leaves impossible. */
export function unreachable(value: never): never {
  throw new Error(`assertion failed: unreachable value ${JSON.stringify(value)}`)
}
