/**
 * Tells systemd how the program fares (sd_notify(3)). Node has no datagram sockets of the local kind, so
 * there are two ways, chosen once: the socket that `OpenFile=/run/systemd/notify:notify` hands over
 * already connected (systemd 253 and newer), each `write` one datagram; or the program `systemd-notify`,
 * which takes any kind of NOTIFY_SOCKET but costs a process a call (decision 0010). Without either there
 * is nobody to tell.
 */
import { execFile } from 'node:child_process'
import { fstatSync, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { messageOf } from './errors.ts'
import type { Logger } from './logger.ts'

/** What may be told, by the names of sd_notify(3). */
export type NotifyFields = Partial<
  Readonly<Record<'READY' | 'STATUS' | 'WATCHDOG' | 'STOPPING' | 'EXTEND_TIMEOUT_USEC', string>>
>

export type NotifyWay = 'socket' | 'program' | 'none'

const VARIABLES = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'LISTEN_PID',
  'LISTEN_PIDFDID',
] as const

/** SD_LISTEN_FDS_START. */
const FIRST_DESCRIPTOR = 3
const DESCRIPTOR_NAME = 'notify'
const PROGRAM = 'systemd-notify'
const PROGRAM_TIMEOUT_MS = 10_000

type Variables = Record<string, string | undefined>

export class SdNotify {
  /** systemd ends the program when it hears no ping for this long. */
  readonly watchdogMs: number | undefined
  readonly #log: Logger
  readonly #address: string | undefined
  readonly #path: string | undefined
  #descriptor: number | undefined
  #way: NotifyWay
  #calls: Promise<void> | undefined
  #waiting: NotifyFields | undefined
  #hasComplained = false

  /** Looks what systemd offers and takes it out of `environment`: children must not speak for us. */
  constructor(environment: Variables, log: Logger, pid: number = process.pid) {
    const given = Object.fromEntries(VARIABLES.map((name) => [name, environment[name]]))
    for (const name of VARIABLES) delete environment[name]
    this.#log = log
    this.#path = environment.PATH
    this.#address = given.NOTIFY_SOCKET || undefined
    this.#descriptor = descriptorOf(given, pid)
    this.#way = this.#descriptor === undefined ? this.#wayWithoutSocket() : 'socket'
    this.watchdogMs = this.#way === 'none' ? undefined : watchdogOf(given, pid)
  }

  get way(): NotifyWay {
    return this.#way
  }

  /** Tells these now, or with the next call of the program while one runs. Never fails. */
  tell(fields: NotifyFields): void {
    if (this.#way === 'socket') this.#write(fields)
    else if (this.#way === 'program') this.#call(fields)
  }

  /** Resolves once all that was told has been handed over: what still waits would end with us. */
  async settled(): Promise<void> {
    await this.#calls
  }

  #wayWithoutSocket(): NotifyWay {
    return this.#address === undefined ? 'none' : 'program'
  }

  #write(fields: NotifyFields): void {
    try {
      writeSync(this.#descriptor!, linesOf(fields).join('\n'))
    } catch (error) {
      this.#complain(error)
      // A full queue empties; any other failure stays.
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return
      this.#descriptor = undefined
      this.#way = this.#wayWithoutSocket()
      this.tell(fields)
    }
  }

  #call(fields: NotifyFields): void {
    this.#waiting = { ...this.#waiting, ...fields }
    this.#calls ??= this.#callWhileWaiting()
  }

  async #callWhileWaiting(): Promise<void> {
    const env = { PATH: this.#path, NOTIFY_SOCKET: this.#address }
    const options = { env, timeout: PROGRAM_TIMEOUT_MS }
    while (this.#waiting !== undefined) {
      const fields = this.#waiting
      this.#waiting = undefined
      try {
        await promisify(execFile)(PROGRAM, linesOf(fields), options)
      } catch (error) {
        this.#complain(error)
      }
    }
    this.#calls = undefined
  }

  #complain(error: unknown): void {
    if (this.#hasComplained) return
    this.#hasComplained = true
    this.#log.warn({ code: 'notify-failed' }, `systemd could not be told: ${messageOf(error)}`)
  }
}

function descriptorOf(given: Variables, pid: number): number | undefined {
  if (Number(given.LISTEN_PID) !== pid) return undefined
  const index = (given.LISTEN_FDNAMES ?? '').split(':').indexOf(DESCRIPTOR_NAME)
  if (index < 0 || index >= Number(given.LISTEN_FDS)) return undefined
  try {
    return fstatSync(FIRST_DESCRIPTOR + index).isSocket() ? FIRST_DESCRIPTOR + index : undefined
  } catch {
    return undefined
  }
}

function watchdogOf(given: Variables, pid: number): number | undefined {
  const isOurs = given.WATCHDOG_PID === undefined || Number(given.WATCHDOG_PID) === pid
  const timeoutMs = Number(given.WATCHDOG_USEC) / 1000
  return isOurs && timeoutMs > 0 && Number.isFinite(timeoutMs) ? timeoutMs : undefined
}

/** One line a field: what is told must not break into two. */
function linesOf(fields: NotifyFields): string[] {
  return Object.entries(fields).map(([name, value]) => `${name}=${value.replace(/\s+/g, ' ')}`)
}
