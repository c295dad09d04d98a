/** Exit codes of every command and process (wire.md, Commands); from 69 on they are sysexits.h's. */
export const EXIT_DONE = 0
export const EXIT_FAILED = 1
export const EXIT_USAGE = 2
/** What was given is not what it has to be: an image, a package, a tree of files. */
export const EXIT_BAD_INPUT = 65
/** A file that was named cannot be read. */
export const EXIT_UNREADABLE = 66
/** The gateway cannot be reached. */
export const EXIT_UNAVAILABLE = 69
/** The world failed: a store that cannot be flushed, a port that is taken. */
export const EXIT_SOFTWARE = 70
/** This machine cannot do it: its architecture, its Node, no systemd or an old one. */
export const EXIT_UNSUITABLE = 71
/** A program of the system is not installed. */
export const EXIT_PROGRAM_MISSING = 72
/** Something is full, or too small. */
export const EXIT_NO_ROOM = 73
/** Writing failed, or what was read back is not what was written. */
export const EXIT_WRITE_FAILED = 74
/** Timed out: try again. */
export const EXIT_TIMED_OUT = 75
/** The new version did not become ready; the one before runs again. */
export const EXIT_WENT_BACK = 76
export const EXIT_NOT_ALLOWED = 77
/** Wrong configuration: starting again does not help. */
export const EXIT_CONFIG = 78
/** A node that was drained and has left; sysexits.h has nothing like it. Its unit lets it rest. */
export const EXIT_LEFT = 79
/** A command was told to stop: 128 and SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130

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
