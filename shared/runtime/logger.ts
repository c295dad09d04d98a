/**
 * The logger of both programs: lines of JSON with the members that pino writes, so that its tools read
 * them, in a few lines of our own, since the agent has no memory to give away for a library.
 */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** `journal` is JSON behind the `<N>` that sd-daemon(3) reads as the priority. */
export type LogFormat = 'json' | 'journal' | 'human'

/** Takes one line of JSON, with its line end. */
export type Kept = (level: LogLevel, line: string) => void

export interface LineLoggerOptions {
  readonly name: string
  readonly level: LogLevel
  readonly format: LogFormat
  /** Takes one line, with its line end. */
  readonly write: (line: string) => void
  /** Is told each line as JSON, however it is written. */
  readonly kept?: Kept | undefined
  /** Unix ms. */
  readonly now?: () => number
}

/** pino's numbers, so that one reader understands both programs. */
const NUMBERS: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 }
/** syslog(3). */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 }

/** How to write to `stderr`: prefixed for the journal, short for a person, JSON otherwise. */
export function logFormatFor(
  environment: Readonly<Record<string, string | undefined>>,
  stderr: { readonly isTTY?: boolean },
): LogFormat {
  if (environment.JOURNAL_STREAM) return 'journal'
  return stderr.isTTY ? 'human' : 'json'
}

export function createLineLogger(options: LineLoggerOptions): Logger {
  const { name, format, write, kept, now = Date.now } = options
  const threshold = NUMBERS[options.level]
  const at =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      if (NUMBERS[level] < threshold) return
      const time = now()
      if (format === 'human') write(humanLine(level, time, fields, message))
      if (format === 'human' && kept === undefined) return
      const line = jsonLine({ level: NUMBERS[level], time, name, ...fields, msg: message })
      kept?.(level, line)
      if (format !== 'human') write(format === 'journal' ? `<${PRIORITIES[level]}>${line}` : line)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function jsonLine(record: object): string {
  try {
    return `${JSON.stringify(record, plain)}\n`
  } catch (error) {
    // A logger never takes the process down, whatever it is handed.
    const { level, time, name, msg } = record as Record<string, unknown>
    return `${JSON.stringify({ level, time, name, msg, unloggable: String(error) })}\n`
  }
}

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) {
    const { name, message, stack, cause } = value
    const code = (value as { code?: unknown }).code
    return { type: name, message, code, stack, cause }
  }
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'bigint' ? value.toString() : value
}

function humanLine(level: LogLevel, timeMs: number, fields: object, message: string): string {
  const time = new Date(timeMs).toTimeString().slice(0, 8)
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`)
  return `${time} ${level.padEnd(5)} ${printable(message)}${pairs.join('')}\n`
}

function shown(value: unknown): string {
  if (value instanceof Error) return printable(value.message)
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value)
  return jsonLine({ value }).trimEnd().slice('{"value":'.length, -1)
}

/** Text from outside must not steer a terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
}
