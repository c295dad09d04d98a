import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { AppError, EXIT_SOFTWARE } from '../shared/runtime/errors.ts'

/** What the main file of a program exports. */
export interface Main {
  run(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number>
}

/** Runs a program to its end, and this process with it. */
export async function runMain(
  name: string,
  load: () => Promise<Main>,
  argv: readonly string[],
): Promise<number> {
  // What did not close in time must not keep the process.
  process.exit(await exitCodeOf(name, load, argv))
}

/** Runs a program to its end. What it throws is said, and becomes the exit code that it means. */
export async function exitCodeOf(
  name: string,
  load: () => Promise<Main>,
  argv: readonly string[],
): Promise<number> {
  try {
    return await (await load()).run(argv, process.env)
  } catch (error) {
    const isBug = !(error instanceof AppError)
    const text = error instanceof Error ? (isBug ? error.stack : error.message) : String(error)
    process.stderr.write(`obelisk ${name}: ${text}\n`)
    return isBug ? EXIT_SOFTWARE : error.exitCode
  }
}

/** Runs a part of a program that is a bundle by itself: so its errors are of a class of its own, and become ours. */
export async function asOurs<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, exitCode, message } = error as Partial<AppError>
    if (typeof code !== 'string' || typeof exitCode !== 'number') throw error
    throw new AppError(code, `${message}`, { cause: error, exitCode })
  }
}

/** Whether this process was started with the module of this URL, maybe through a link. */
export function isStarted(moduleUrl: string): boolean {
  const [, script] = process.argv
  if (script === undefined) return false
  try {
    return realpathSync(script) === fileURLToPath(moduleUrl)
  } catch {
    return false
  }
}
