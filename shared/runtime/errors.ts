/** Exit codes of every command and process (wire.md, Commands); from 69 on they are sysexits.h's. */
export const EXIT_DONE = 0
export const EXIT_FAILED = 1
export const EXIT_USAGE = 2
/** The gateway cannot be reached. */
export const EXIT_UNAVAILABLE = 69
/** The world failed: a store that cannot be flushed, a port that is taken. */
export const EXIT_SOFTWARE = 70
/** Timed out: try again. */
export const EXIT_TIMED_OUT = 75
export const EXIT_NOT_ALLOWED = 77
/** Wrong configuration: starting again does not help. */
export const EXIT_CONFIG = 78
/** A node that was drained and has left; sysexits.h has nothing like it. Its unit lets it rest. */
export const EXIT_LEFT = 79

/** The world failing: an error with a stable `code`, and the exit code that it means for a process. */
export class AppError extends Error {
  readonly code: string
  readonly exitCode: number

  constructor(code: string, message: string, options?: { cause?: unknown; exitCode?: number }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.exitCode = options?.exitCode ?? EXIT_FAILED
  }
}

/** The words of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
