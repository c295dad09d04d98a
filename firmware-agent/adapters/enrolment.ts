/**
 * How an agent comes by what a secured gateway knows it by: from its own files, else with a token, before its store
 * is opened. A board that has an identity needs no token any more, and says nothing but over TLS.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Backoff, type BackoffOptions } from '../../shared/core/backoff.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import { parseToken, type Token } from '../../shared/protocol/tokens.ts'
import { readSecret } from '../../shared/runtime/config.ts'
import {
  AppError,
  EXIT_BAD_INPUT,
  EXIT_CONFIG,
  EXIT_UNAVAILABLE,
} from '../../shared/runtime/errors.ts'
import type { Environment } from '../../shared/runtime/option-table.ts'
import type { Running } from '../../shared/runtime/program.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { keepWatch } from '../../shared/runtime/watchdog-timer.ts'
import { type Identity, keepIdentity, keyToEnrol, loadIdentity } from './identity-files.ts'

/** Of the agent's configuration. */
export interface EnrolmentConfig {
  readonly url: string
  /** Folder. */
  readonly identity: string
  readonly enrollTokenFile: string | undefined
}

const SECURE_PORT = 8883
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i

/** Nothing where the gateway asks nobody who he is. Fails with what another start would not mend. */
export function identityAtHand(config: EnrolmentConfig, node: NodeId): Identity | undefined {
  const identity = loadIdentity(config.identity, node)
  if (identity !== undefined && !isSecure(config)) {
    throw notSecure(`${config.identity} is there: this node shows who it is over mqtts:// alone`)
  }
  return identity
}

/** The token of a board that has no identity yet. */
export function tokenAtHand(config: EnrolmentConfig, environment: Environment): Token | undefined {
  const text = readSecret(config.enrollTokenFile, 'enroll-token', environment)
  if (text === undefined) return undefined
  if (!isSecure(config)) throw notSecure('a token is shown over mqtts:// alone')
  return nodeTokenIn(text)
}

/** Throws AppError: it is none, or not one of a node. */
export function nodeTokenIn(text: string): Token {
  const token = parseToken(text)
  if (token?.kind === 'node') return token
  const message =
    token === undefined
      ? 'what is given as the token for an identity is none'
      : 'the token is that of a user: a node needs one of obelisk token create'
  throw new AppError('token-malformed', message, { exitCode: EXIT_BAD_INPUT })
}

/** Asks until there is an answer. Resolves with nothing if the program is told to stop before that. */
export async function enrolUntilDone(
  config: EnrolmentConfig,
  node: NodeId,
  token: Token,
  { log, notify, shutdown }: Pick<Running, 'log' | 'notify' | 'shutdown'>,
  pace: { readonly backoff: BackoffOptions; readonly random: Random },
): Promise<Identity | undefined> {
  const { hostname: host, port } = new URL(config.url)
  const at = { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port || SECURE_PORT) }
  const backoff = new Backoff(pace.backoff, pace.random)
  // Loaded here: whoever has an identity never needs it.
  const { enrol } = await import('./enrolment-client.ts')
  const pair = keyToEnrol(config.identity)
  const stop = new AbortController()
  shutdown.add('enrolment', () => stop.abort())
  notify.tell({ READY: '1', STATUS: `waiting for an identity from ${config.url}` })
  const unwatch = keepWatch(notify, log, () => [])
  try {
    while (!stop.signal.aborted) {
      try {
        const enrolled = await enrol({ ...at, node, version: VERSION, ...boardHint() }, token, pair)
        log.info({ code: 'enrolled', node }, `the gateway knows this node as ${node} now`)
        return keepIdentity(config.identity, pair, enrolled)
      } catch (error) {
        if (!isForLater(error)) {
          if (error instanceof AppError) notify.tell({ STATUS: `refused: ${error.code}` })
          throw error
        }
        const waitMs = backoff.nextMs()
        log.warn({ code: error.code, waitMs: Math.round(waitMs) }, error.message)
        await sleep(waitMs, stop.signal)
      }
    }
    return undefined
  } finally {
    unwatch()
  }
}

/** A node that dials a secured gateway with nothing to show. */
export function notEnrolled({ identity }: EnrolmentConfig): AppError {
  const message = `a node without an identity needs a token: obelisk token create on the gateway, then --enroll-token-file (${identity} is not there)`
  return new AppError('not-enrolled', message, { exitCode: EXIT_CONFIG })
}

export function isSecure({ url }: Pick<EnrolmentConfig, 'url'>): boolean {
  return new URL(url).protocol === 'mqtts:'
}

/** Throws AppError for a gateway that everything would go to in the clear. */
export function checkUrl(url: string): void {
  if (!isOpenBeyondLoopback(url)) return
  throw notSecure(`${url}: mqtt:// is for a gateway on this machine; over a network it is mqtts://`)
}

/** Where everything would go over a network in the clear. */
export function isOpenBeyondLoopback(url: string): boolean {
  return !isSecure({ url }) && !LOOPBACK.test(new URL(url).hostname)
}

function isForLater(error: unknown): error is AppError {
  return error instanceof AppError && error.exitCode === EXIT_UNAVAILABLE
}

export function notSecure(message: string): AppError {
  return new AppError('url-not-secure', message, { exitCode: EXIT_CONFIG })
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** SHA-256 of the board's serial number, if the device tree says one: a hint for people, when a card moves. */
function boardHint(): { readonly board?: string } {
  try {
    const serial = readFileSync('/proc/device-tree/serial-number', 'latin1').replace(/\0+$/, '')
    return { board: createHash('sha256').update(serial).digest('hex') }
  } catch {
    return {}
  }
}
