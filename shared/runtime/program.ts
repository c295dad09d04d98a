/**
 * What running either program has in common: its configuration, its logger, an orderly end by signal
 * or by failure, and the exit code.
 */
import { loadConfig, type Program, type Settings, type Source } from './config.ts'
import { AppError, EXIT_DONE, EXIT_SOFTWARE, messageOf } from './errors.ts'
import { createLineLogger, type Kept, type Logger, type LogLevel, logFormatFor } from './logger.ts'
import { renderHelp } from './option-pages.ts'
import type { Environment, OptionTable } from './option-table.ts'
import { withoutRepeats } from './repeats.ts'
import { SdNotify } from './sd-notify.ts'
import { Shutdown } from './shutdown.ts'
import type { NoTables, TableArrays } from './table-arrays.ts'

/** Below the TimeoutStopSec of the units. */
export const SHUTDOWN_DEADLINE_MS = 8000

/** What a program makes is read by its user alone. */
const OTHERS = 0o077

export interface Running<T extends OptionTable = OptionTable> {
  /** The configuration file that was read, if there was one. */
  readonly file: string | undefined
  /** Where each option has its value from. */
  readonly sources: Readonly<Record<keyof T, Source>>
  readonly log: Logger
  readonly shutdown: Shutdown
  /** A failure that nothing can go on after: ends the program with the exit code that it means. */
  readonly fatal: (error: unknown) => void
  /** Why the program is about to end, if it is a failure. */
  readonly failure: () => string | undefined
  readonly notify: SdNotify
}

/** Runs a program until it is told to stop; resolves with the exit code. `kept` is told each line of its log. */
export async function runProgram<T extends OptionTable, A extends TableArrays = NoTables>(
  program: Program<T, A>,
  argv: readonly string[],
  environment: Environment,
  start: (config: Settings<T, A>, running: Running<T>) => Promise<void>,
  kept?: Kept,
): Promise<number> {
  const loaded = await loadConfig(program, argv, environment)
  if (loaded.kind === 'help') {
    process.stdout.write(renderHelp(program))
    return EXIT_DONE
  }
  // Of one that is started by hand: its unit says the same.
  process.umask(OTHERS)
  const lines = createLineLogger({
    name: program.name,
    level: (loaded.values as { logLevel: LogLevel }).logLevel,
    format: logFormatFor(environment, process.stderr),
    write: (line) => process.stderr.write(line),
    kept,
  })
  const log = withoutRepeats(lines)
  // What systemd offers is taken out, and what is left is the program's.
  const notify = new SdNotify(environment as Record<string, string | undefined>, log)
  const onBegin = (reason: string): void => {
    notify.tell({ STOPPING: '1', STATUS: `stopping: ${reason}` })
  }
  const shutdown = new Shutdown({ deadlineMs: SHUTDOWN_DEADLINE_MS, onBegin }, () => {}, log)
  // First in, so last to close: that the program stops is told even where a ping is under way.
  shutdown.add('notify', () => notify.settled())
  let failure: string | undefined
  const fatal = (error: unknown): void => {
    failure = messageOf(error)
    const isKnown = error instanceof AppError
    log.error({ err: error, code: isKnown ? error.code : 'bug' }, failure)
    void shutdown.begin('a failure', isKnown ? error.exitCode : EXIT_SOFTWARE)
  }
  const unlisten = shutdown.listen(process)
  try {
    const { values, sources, file } = loaded
    await start(values, { file, sources, log, shutdown, fatal, failure: () => failure, notify })
  } catch (error) {
    process.stderr.write(`obelisk ${program.name}: ${messageOf(error)}\n`)
    void shutdown.begin(
      'it could not start',
      error instanceof AppError ? error.exitCode : EXIT_SOFTWARE,
    )
  }
  const code = await shutdown.ended
  log.flush()
  unlisten()
  return code
}
