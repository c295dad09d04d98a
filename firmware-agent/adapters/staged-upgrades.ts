/**
 * Puts aside what the gateway has for this board, and asks root for it: the package, then a request beside it, which a unit
 * of the service manager looks for (systemd/obelisk-agent-upgrade.path). What becomes of it stands in a file that root
 * writes. A request outlives this process, which the installation ends: who asked is not asked again while root is at it.
 * The service manager does not see what is written while root is at it, so what has no answer is written again after a while.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { randomId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import {
  isPackageName,
  type UpgradeOrder,
  type UpgradeOutcome,
  type UpgradeUp,
} from '../../shared/protocol/upgrade-messages.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { replacePrivate } from '../../shared/runtime/private-folder.ts'
import { type FetchFrom, fetchPackage } from './package-fetch.ts'

export interface StagedUpgradesOptions extends FetchFrom {
  /** Where root looks: `upgrade` in the state of the agent. */
  readonly folder: string
  /** Where root says what became of it. */
  readonly outcomes: string
  readonly version: string
  readonly architecture: string
  readonly random: Random
  readonly retryMs?: number
  readonly pollMs?: number
  readonly askAgainMs?: number
}

type Say = (said: UpgradeUp) => void

interface Fault {
  readonly code: string
  readonly message: string
}

interface Request {
  readonly id: string
  readonly sha256: string
  /** Of the gateway, for which this was asked, or asked once more. Root does not look at it. */
  readonly attempt?: string
  /** Of the machine: root forgets what was asked before it started. */
  readonly boot: string
}

const RETRY_MS = 5000
const POLL_MS = 1000
/** Root may be at it for ten minutes, the gateway waits for fifteen, and the unit takes six requests in an hour. */
const ASK_AGAIN_MS = 300_000
const ASKED_MAX = 3
const CODE_LENGTH_MAX = 64
const REQUEST = 'request.json'
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

export class StagedUpgrades {
  readonly #options: StagedUpgradesOptions
  readonly #log: Logger
  #order: UpgradeOrder | undefined
  #isFetching = false
  /** To the next try at a package. */
  #retry: NodeJS.Timeout | undefined
  /** To the next look for what root says, which goes on while another package is fetched. */
  #poll: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: StagedUpgradesOptions, log: Logger) {
    this.#options = options
    this.#log = log
  }

  get version(): string {
    return this.#options.version
  }

  get architecture(): string {
    return this.#options.architecture
  }

  /** Of the last request, once root has said it. */
  get outcome(): UpgradeOutcome | undefined {
    const request = this.#request
    const told = readJson(join(this.#options.outcomes, 'outcome.json'))
    const { sha256, outcome, code } = told
    const isOurs = request !== undefined && told.request === request.id && sha256 === request.sha256
    if (!isOurs || (outcome !== 'ready' && outcome !== 'went-back' && outcome !== 'refused')) {
      return undefined
    }
    const why = typeof code === 'string' ? { code: code.slice(0, CODE_LENGTH_MAX) } : {}
    return { sha256: request.sha256, ...attemptOf(request), outcome, ...why }
  }

  take(order: UpgradeOrder, say: Say): void {
    this.#order = order
    if (!this.#isFetching) void this.#obey(say)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
    clearTimeout(this.#poll)
  }

  get #request(): Request | undefined {
    const { id, sha256, attempt, boot } = readJson(join(this.#options.folder, REQUEST))
    const isSound = typeof id === 'string' && typeof boot === 'string' && isPackageName(sha256)
    if (!isSound) return undefined
    return { id, sha256, ...attemptOf({ attempt }), boot }
  }

  async #obey(say: Say): Promise<void> {
    this.#isFetching = true
    try {
      while (this.#order !== undefined && !this.#isClosed) {
        const order = this.#order
        const error = await this.#fetch(order)
        if (order !== this.#order) continue
        this.#order = undefined
        const { sha256 } = order
        if (order.next === 'wait') {
          say({ t: 'fetched', sha256, ...(error === undefined ? {} : { error }) })
          continue
        }
        const fault = error ?? this.#ask(order)
        if (fault === undefined) this.#awaitOutcome(say)
        else {
          const told = { outcome: 'refused', code: fault.code } as const
          say({ t: 'upgraded', outcome: { sha256, ...attemptOf(order), ...told } })
        }
      }
    } finally {
      this.#isFetching = false
    }
  }

  /** Until it is there, the gateway wants another one, or it makes no sense to try again. */
  async #fetch(order: UpgradeOrder): Promise<Fault | undefined> {
    const { folder, retryMs = RETRY_MS } = this.#options
    const { sha256, bytes } = order
    while (order === this.#order && !this.#isClosed) {
      try {
        this.#forgetOthers(sha256)
        await fetchPackage(this.#options, { sha256, bytes, path: join(folder, `${sha256}.tar.gz`) })
        return undefined
      } catch (error) {
        const fault = this.#faultOf(error)
        if (fault.code !== 'fetch-broken' && fault.code !== 'busy') return fault
        await new Promise<void>((resolve) => {
          this.#retry = setTimeout(resolve, retryMs)
        })
      }
    }
    return undefined
  }

  /** One package at a time lies here; the request is kept, and what it asks for. */
  #forgetOthers(sha256: string): void {
    const { folder } = this.#options
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    for (const name of readdirSync(folder)) {
      if (name !== REQUEST && !name.startsWith(sha256)) rmSync(join(folder, name), { force: true })
    }
  }

  #faultOf(error: unknown): Fault {
    const code = error instanceof AppError ? error.code : 'fetch-failed'
    const message = messageOf(error).slice(0, 1024)
    this.#log.warn({ code }, message)
    return { code, message }
  }

  #ask({ sha256, attempt }: UpgradeOrder): Fault | undefined {
    try {
      const boot = readFileSync(BOOT_ID, 'utf8').trim()
      const before = this.#request
      const isOfNow = before?.sha256 === sha256 && before.boot === boot
      const isAnswered = this.outcome !== undefined
      const isSame = isOfNow && before.attempt === attempt
      if (isSame && (!isAnswered || attempt !== undefined)) return undefined
      // What root is at is of this attempt from now on.
      const id = isOfNow && !isAnswered ? before.id : randomId(this.#options.random)
      this.#write({ id, sha256, ...attemptOf({ attempt }), boot })
      return undefined
    } catch (error) {
      return this.#faultOf(error)
    }
  }

  #write(request: Request): void {
    replacePrivate(this.#options.folder, REQUEST, `${JSON.stringify(request)}\n`)
    const { sha256 } = request
    this.#log.info({ code: 'upgrade-asked', sha256 }, 'root is asked to install another version')
  }

  #askAgain(): void {
    const request = this.#request
    try {
      if (request !== undefined) this.#write(request)
    } catch (error) {
      this.#faultOf(error)
    }
  }

  /** If it is not to be, this process goes on and says so. */
  #awaitOutcome(say: Say, asked = 1, sinceMs = performance.now()): void {
    clearTimeout(this.#poll)
    if (this.#isClosed) return
    const { pollMs = POLL_MS, askAgainMs = ASK_AGAIN_MS } = this.#options
    const { outcome } = this
    if (outcome !== undefined) {
      this.#log.info({ code: 'upgrade-told', outcome: outcome.outcome }, 'root has answered')
      say({ t: 'upgraded', outcome })
      return
    }
    const isDue = asked < ASKED_MAX && performance.now() - sinceMs >= askAgainMs
    if (isDue) this.#askAgain()
    const next = isDue ? ([asked + 1] as const) : ([asked, sinceMs] as const)
    this.#poll = setTimeout(() => this.#awaitOutcome(say, ...next), pollMs).unref()
  }
}

function attemptOf({ attempt }: { readonly attempt?: unknown }): { readonly attempt?: string } {
  return typeof attempt === 'string' ? { attempt } : {}
}

/** Nothing of it is trusted, and what is none has no members. */
function readJson(path: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return {}
  }
}
