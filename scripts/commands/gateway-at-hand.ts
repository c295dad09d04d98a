/**
 * Which gateway a command talks to that was not told: the one whose owner's socket this process can open, else the one
 * that somebody logged in at, else the one that is open on this machine.
 */
import { accessSync, constants, lstatSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { GatewayClient } from '../../shared/client/http.ts'
import type { Environment } from '../../shared/runtime/option-table.ts'
import { type Context, isSameUrl, readContext } from '../client/context.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import { fault, usage } from '../fault.ts'

export const HTTP_DEFAULT = 'http://127.0.0.1:8025'
/** Where a gateway that is secured waits for its owner: that of the unit, which only root could have made… */
const UNITS_SOCKET = '/run/obelisk-gateway/admin.sock'
/** …and that of one that is started by hand, wherever a person happens to be. */
const OWN_SOCKET = './obelisk-gateway/admin.sock'
const STICKY = 0o1000
const PROTOCOLS = ['http:', 'https:', 'unix:']

/** The socket of a gateway on this machine. What cannot be looked at is there. */
export function ownersSocket(): string | undefined {
  const socket = isThere(UNITS_SOCKET) ? UNITS_SOCKET : isOurs(OWN_SOCKET) ? OWN_SOCKET : undefined
  return socket === undefined ? undefined : `unix:${resolve(socket)}`
}

/** The gateway at this address; without one, the one at hand. */
export function clientFor(given: string | undefined, environment: Environment): GatewayClient {
  const url = given ?? (environment.OBELISK_HTTP || undefined)
  if (url === undefined) return clientAtHand(environment) ?? openAtHand()
  const checked = checkUrl(url, PROTOCOLS, '--http')
  const context = checked.startsWith('https:') ? readContext(environment) : undefined
  return gatewayClient(checked, isSameUrl(context?.url, checked) ? context : undefined)
}

/** One that knows who asks, if there is any. */
export function clientAtHand(environment: Environment): GatewayClient | undefined {
  if (mayBeOpened(UNITS_SOCKET)) return gatewayClient(`unix:${UNITS_SOCKET}`)
  if (isOurs(OWN_SOCKET)) return gatewayClient(`unix:${resolve(OWN_SOCKET)}`)
  const context = readContext(environment)
  if (context !== undefined) return clientOf(context)
  const socket = ownersSocket()
  return socket === undefined ? undefined : gatewayClient(socket)
}

function openAtHand(): GatewayClient {
  if (!isThere(OWN_SOCKET)) return gatewayClient(HTTP_DEFAULT)
  const socket = resolve(OWN_SOCKET)
  const message = `${socket} is not this user's alone, and may be anybody's: --http unix:${socket} if it is meant`
  throw fault('not-permitted', message)
}

export function clientOf(context: Context): GatewayClient {
  return gatewayClient(context.url, context)
}

/** What somebody logged in with, for MQTT at this address, or for whichever there is. */
export function loginFor(given: string | undefined, environment: Environment): Context | undefined {
  if (given !== undefined && !given.startsWith('mqtts:')) return undefined
  const context = readContext(environment)
  if (context?.mqtt === undefined) return undefined
  return given === undefined || isSameUrl(context.mqtt, given) ? context : undefined
}

export function checkUrl(url: string, protocols: readonly string[], label: string): string {
  if (URL.canParse(url) && protocols.includes(new URL(url).protocol)) return url
  const begins = protocols.map((one) => (one === 'unix:' ? 'unix:/' : `${one}//`))
  throw usage(`${label}: "${url}" is not a URL that begins with ${begins.join(' or ')}`)
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return true
  }
}

/**
 * Whether nobody else can have put it there: it, its folder and the folder above are this user's, of which the last may be
 * root's. Whoever is asked for a password at a socket of somebody else tells it to him.
 */
function isOurs(path: string): boolean {
  const user = process.geteuid!()
  try {
    const [socket, folder, above] = [path, dirname(path), dirname(dirname(path))].map((one) =>
      lstatSync(one === '.' ? process.cwd() : one),
    )
    // Where only owners may rename what is theirs, as in /tmp, anybody may write.
    const isKept = (above!.mode & STICKY) !== 0 || (above!.mode & othersWrite(user)) === 0
    return (
      isKept &&
      [user, 0].includes(above!.uid) &&
      socket!.isSocket() &&
      [socket, folder].every((one) => one!.uid === user)
    )
  } catch {
    return false
  }
}

/** A person's group is often his alone. */
function othersWrite(user: number): number {
  return user === 0 ? 0o022 : 0o002
}

function mayBeOpened(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}
