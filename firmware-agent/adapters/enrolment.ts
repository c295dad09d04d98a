/**
 * How an agent comes by what a secured gateway knows it by: from its own files, else with a token, before its store
 * is opened. A board that has an identity needs no token any more, and says nothing but over TLS.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Backoff, type BackoffOptions } from '../../shared/core/backoff.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import { parseToken, type Token } from '../../shared/protocol/tokens.ts'
import { asOwnerOfPlace } from '../../shared/runtime/as-owner.ts'
import { readSecret } from '../../shared/runtime/config.ts'
import {
  AppError,
  EXIT_BAD_INPUT,
  EXIT_CONFIG,
  EXIT_UNAVAILABLE,
} from '../../shared/runtime/errors.ts'
import type { Environment } from '../../shared/runtime/option-table.ts'
import { forgetUnfinished, replacePrivate } from '../../shared/runtime/private-folder.ts'
import type { Running } from '../../shared/runtime/program.ts'
import { fingerprint, spkiOf } from '../../shared/runtime/public-keys.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { keepWatch } from '../../shared/runtime/watchdog-timer.ts'
import { keepIdentity, keyToEnrol } from './identity-files.ts'
import { OwnIdentity } from './own-identity.ts'

/** Of the agent's configuration. */
export interface EnrolmentConfig {
  readonly url: string
  /** Folder. */
  readonly identity: string
  readonly enrollTokenFile: string | undefined
}

/** Where a person can put a token who has the card of a board in a PC. */
const BOOT_FILES: readonly string[] = ['/boot/firmware', '/boot'].map(
  (boot) => `${boot}/obelisk/enroll-token`,
)
/** Beside the identity. */
const SPENT = 'spent-token'
const SECURE_PORT = 8883
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i

/** Nothing where the gateway asks nobody who he is. Fails with what another start would not mend. */
function identityAtHand(config: EnrolmentConfig, node: NodeId): OwnIdentity | undefined {
  const identity = OwnIdentity.load(config.identity, node)
  if (identity !== undefined && !isSecure(config)) {
    throw notSecure(
      `${config.identity} is there: this node shows who it is over mqtts:// alone, as --url ${secured(config)}`,
    )
  }
  return identity
}

/** The token of a board that has no identity yet. */
export function tokenAtHand(
  config: EnrolmentConfig,
  environment: Environment,
  bootFiles = BOOT_FILES,
): Token | undefined {
  const given = readSecret(config.enrollTokenFile, 'enroll-token', environment)
  const text = given ?? bootFiles.map(tokenText).find((one) => one !== undefined)
  if (text === undefined) return undefined
  if (!isSecure(config)) throw tokenInClear(config)
  return nodeTokenIn(text)
}

/**
 * For a board that has an identity: a token that names another authority than that of its identity. Its fleet has lost
 * its keys, and somebody gives it back. Any other token is none of its business, whatever it is.
 */
export function tokenOfOtherFleet(
  config: EnrolmentConfig,
  environment: Environment,
  { shown }: OwnIdentity,
  bootFiles = BOOT_FILES,
): Token | undefined {
  let token: Token | undefined
  try {
    token = tokenAtHand(config, environment, bootFiles)
  } catch {
    return undefined
  }
  const pin = fingerprint(spkiOf(new X509Certificate(shown.ca).publicKey))
  return token !== undefined && Buffer.compare(pin, token.pin) !== 0 ? token : undefined
}

/** Names the token that gave this identity, or is not needed beside it: the unit removes it before the next start. */
function nameSpent({ identity }: EnrolmentConfig, spent: () => Token | undefined): void {
  try {
    const token = spent()
    if (token === undefined) return
    const folder = dirname(identity)
    const name = `obk1-${token.id}-`
    if (tokenText(join(folder, SPENT)) === name) return
    replacePrivate(folder, SPENT, `${name}\n`)
  } catch {
    // What is none nobody has used; and where the disk is full, it lies there until another start.
  }
}

/** What is there and cannot be read is for somebody else. */
function tokenText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
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

export interface Pace {
  readonly backoff: BackoffOptions
  readonly random: Random
}

export interface EnrolmentWish {
  readonly config: EnrolmentConfig
  readonly node: NodeId
  readonly token: Token
  /** The board has an identity: it gets another key with each token. */
  readonly isAgain?: boolean
}

/** Asks once; resolves when the identity has its place. */
export async function enrolOnce({
  config,
  node,
  token,
  isAgain = false,
}: EnrolmentWish): Promise<void> {
  const { hostname: host, port } = new URL(config.url)
  const at = { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port || SECURE_PORT) }
  // Loaded here: whoever has an identity never needs it.
  const { enrol } = await import('./enrolment-client.ts')
  const purpose = isAgain ? `token ${token.id}` : undefined
  const { identity } = config
  // The service has a user of its own, who has to read what root makes.
  const pair = await asOwnerOfPlace(identity, (folder) => keyToEnrol(folder, purpose))
  try {
    const enrolled = await enrol({ ...at, node, version: VERSION, ...boardHint() }, token, pair)
    await asOwnerOfPlace(identity, (folder) => keepIdentity(folder, pair, enrolled))
  } catch (error) {
    // It never will be anything again; the next token is for another one.
    if (error instanceof AppError && error.code === 'key-revoked') {
      await asOwnerOfPlace(identity, forgetUnfinished)
    }
    throw error
  }
}

/**
 * The identity that is there, or the one that a token gives, asked for until there is an answer. Nothing where there is
 * neither, or the program is told to stop first.
 */
export async function comeByIdentity({
  config,
  node,
  environment,
  running,
  pace,
}: {
  readonly config: EnrolmentConfig
  readonly node: NodeId
  readonly environment: Environment
  readonly running: Pick<Running, 'log' | 'notify' | 'shutdown'>
  readonly pace: Pace
}): Promise<OwnIdentity | undefined> {
  const identity = identityAtHand(config, node)
  if (identity === undefined) {
    const token = tokenAtHand(config, environment)
    if (token === undefined) return undefined
    const isDone = await enrolUntilDone({ config, node, token }, running, pace)
    if (isDone) nameSpent(config, () => token)
    return identityAtHand(config, node)
  }
  const token = tokenOfOtherFleet(config, environment, identity)
  if (token === undefined) {
    nameSpent(config, () => tokenAtHand(config, environment))
    return identity
  }
  try {
    const isDone = await enrolUntilDone({ config, node, token, isAgain: true }, running, pace)
    if (isDone) nameSpent(config, () => token)
    return identityAtHand(config, node)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const { code, message } = error
    running.log.error({ code }, `${message}; this node keeps the identity that it has`)
    return identity
  }
}

/** Asks until there is an answer. False if the program is told to stop before that. */
async function enrolUntilDone(
  wish: EnrolmentWish,
  { log, notify, shutdown }: Pick<Running, 'log' | 'notify' | 'shutdown'>,
  pace: Pace,
): Promise<boolean> {
  const { config, node } = wish
  const backoff = new Backoff(pace.backoff, pace.random)
  const stop = new AbortController()
  shutdown.add('enrolment', () => stop.abort())
  notify.tell({ READY: '1', STATUS: `waiting for an identity from ${config.url}` })
  const unwatch = keepWatch(notify, log, () => [])
  try {
    while (!stop.signal.aborted) {
      try {
        await enrolOnce(wish)
        log.info({ code: 'enrolled', node }, `the gateway knows this node as ${node} now`)
        return true
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
    return false
  } finally {
    unwatch()
  }
}

/** A node that dials a secured gateway with nothing to show. */
export function notEnrolled({ identity }: EnrolmentConfig, flag = 'enroll-token-file'): AppError {
  const message = `a node without an identity needs a token: obelisk token create on the gateway, then --${flag} (${identity} is not there)`
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

/** A token that would go where others can read it. */
export function tokenInClear(config: Pick<EnrolmentConfig, 'url'>, flag = 'url'): AppError {
  return notSecure(`a token is shown over mqtts:// alone: --${flag} ${secured(config)}`)
}

/** Where the same gateway most likely listens once it is secured. */
function secured({ url }: Pick<EnrolmentConfig, 'url'>): string {
  const { hostname, port } = new URL(url)
  return `mqtts://${hostname}:${['', '1883'].includes(port) ? SECURE_PORT : port}`
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
