/**
 * Puts aside what the gateway has for this board, and asks root for it: the package, then a request beside it, which a unit
 * of the service manager looks for (systemd/obelisk-agent-upgrade.path). What becomes of it stands in a file that root
 * writes. A request outlives this process, which the installation ends: who asked is not asked again while root is at it.
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
}

type Say = (said: UpgradeUp) => void

interface Request {
  readonly id: string
  readonly sha256: string
  /** Of the machine: root forgets what was asked before it started. */
  readonly boot: string
}

const RETRY_MS = 5000
const POLL_MS = 1000
const CODE_LENGTH_MAX = 64
const REQUEST = 'request.json'
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

export class StagedUpgrades {
  readonly #options: StagedUpgradesOptions
  readonly #log: Logger
  #order: UpgradeOrder | undefined
  #isFetching = false
  #timer: NodeJS.Timeout | undefined
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
    return { sha256: request.sha256, outcome, ...why }
  }

  take(order: UpgradeOrder, say: Say): void {
    this.#order = order
    if (!this.#isFetching) void this.#obey(say)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  get #request(): Request | undefined {
    const { id, sha256, boot } = readJson(join(this.#options.folder, REQUEST))
    const isSound = typeof id === 'string' && typeof boot === 'string' && isPackageName(sha256)
    return isSound ? { id, sha256, boot } : undefined
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
        } else if (error === undefined) this.#ask(sha256, say)
        else say({ t: 'upgraded', outcome: { sha256, outcome: 'refused', code: error.code } })
      }
    } finally {
      this.#isFetching = false
    }
  }

  /** Until it is there, the gateway wants another one, or it makes no sense to try again. */
  async #fetch(order: UpgradeOrder): Promise<{ code: string; message: string } | undefined> {
    const { folder, retryMs = RETRY_MS } = this.#options
    const { sha256, bytes } = order
    while (order === this.#order && !this.#isClosed) {
      try {
        this.#forgetOthers(sha256)
        await fetchPackage(this.#options, { sha256, bytes, path: join(folder, `${sha256}.tar.gz`) })
        return undefined
      } catch (error) {
        const code = error instanceof AppError ? error.code : 'fetch-failed'
        const message = messageOf(error).slice(0, 1024)
        this.#log.warn({ code }, message)
        if (code !== 'fetch-broken' && code !== 'busy') return { code, message }
        await new Promise<void>((resolve) => {
          this.#timer = setTimeout(resolve, retryMs)
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

  #ask(sha256: string, say: Say): void {
    const { folder, random } = this.#options
    const boot = readFileSync(BOOT_ID, 'utf8').trim()
    const before = this.#request
    const isAsked = before?.sha256 === sha256 && before.boot === boot && this.outcome === undefined
    if (!isAsked) {
      const request: Request = { id: randomId(random), sha256, boot }
      replacePrivate(folder, REQUEST, `${JSON.stringify(request)}\n`)
      this.#log.info({ code: 'upgrade-asked', sha256 }, 'root is asked to install another version')
    }
    this.#awaitOutcome(say)
  }

  /** If it is not to be, this process goes on and says so. */
  #awaitOutcome(say: Say): void {
    clearTimeout(this.#timer)
    if (this.#isClosed) return
    const { outcome } = this
    if (outcome !== undefined) {
      this.#log.info({ code: 'upgrade-told', outcome: outcome.outcome }, 'root has answered')
      say({ t: 'upgraded', outcome })
      return
    }
    const { pollMs = POLL_MS } = this.#options
    this.#timer = setTimeout(() => this.#awaitOutcome(say), pollMs).unref()
  }
}

/** Nothing of it is trusted, and what is none has no members. */
function readJson(path: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return {}
  }
}
