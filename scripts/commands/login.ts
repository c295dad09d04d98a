/** `login`, `logout` and `whoami`: how commands on another machine come to be allowed something. */
import type { GatewayClient } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { count } from '../../shared/core/count.ts'
import type { Grant, Role } from '../../shared/protocol/access.ts'
import { parseToken, type Token } from '../../shared/protocol/tokens.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { type Context, removeContext, writeContext } from '../client/context.ts'
import { fault, usage } from '../fault.ts'
import {
  type Asked,
  type AskedHere,
  type CommandGroup,
  type Flags,
  say,
  show,
} from './command-place.ts'
import { clientAtHand, clientOf } from './gateway-at-hand.ts'
import { pinnedAuthority } from './pinned-authority.ts'
import { printable, type Row, rowLines } from './streams.ts'
import { typedOr } from './typed-input.ts'

type LoginFlags = Flags<'tokenFile'>

/** What `GET /api/whoami` says. */
interface Whoami {
  /** Null for the owner of a gateway, and where nobody is asked. */
  readonly user: string | null
  readonly roles: readonly Role[]
  readonly grant?: Grant
  readonly topics?: readonly string[]
  readonly mqttPort?: number
}

const HTTPS_PORT = 8025

export function addLoginCommands(obelisk: CommandGroup): void {
  obelisk
    .does('login <url>', login)
    .description('let the commands on this machine talk to a secured gateway elsewhere')
    .option('--token-file <file>', 'a token of obelisk user token create; - is the standard input')
    .option('--json', 'print JSON')
  obelisk
    .does('logout', logout)
    .description('forget that gateway, and the token')
    .option('--json', 'print JSON')
  obelisk
    .asks('whoami', whoami)
    .description('show which gateway the commands talk to, as whom, and what he may do')
}

async function login(asked: AskedHere<LoginFlags>, given: string): Promise<number> {
  const { streams, flags } = asked
  const url = gatewayUrl(given)
  const typed = { noun: 'token', question: 'token: ', isNew: false }
  const text = await typedOr(flags.tokenFile, streams, typed)
  const token = userTokenIn(text)
  const ca = await pinnedAuthority(url, token.pin)
  const said = { url: url.origin, ca, token: text.trim() }
  const who = await whoComes(clientOf({ ...said, user: '' }))
  if (who.user === null) {
    const message = `${url.origin} asks nobody who he is, and needs no login`
    throw fault('not-secured', message)
  }
  const mqtt = who.mqttPort === undefined ? {} : { mqtt: mqttUrl(url, who.mqttPort) }
  const context: Context = { ...said, ...mqtt, user: who.user }
  writeContext(streams.environment, context)
  const shown = { gateway: context.url, ...who, mqtt: context.mqtt }
  const line = `logged in at ${url.origin} as ${who.user} (${who.roles.join(', ') || 'no role'})`
  say(asked, shown, line)
  const { OBELISK_HTTP } = streams.environment
  const first = OBELISK_HTTP || clientAtHand(streams.environment)?.address
  if (first !== undefined && first !== context.url) {
    streams.stderr.write(`commands on this machine talk to ${printable(first)} all the same\n`)
  }
  return EXIT_DONE
}

async function whoComes(gateway: GatewayClient): Promise<Whoami> {
  try {
    return await gateway.json<Whoami>({ path: '/api/whoami' })
  } catch (error) {
    if (!(error instanceof ObeliskError) || error.status !== 401) throw error
    const detail = `${gateway.address} does not take this token: it is over, or was revoked; another one is made on the gateway: obelisk user token create <name>`
    throw new ObeliskError({ code: error.code, status: 401, detail, cause: error })
  }
}

function logout(asked: AskedHere): number {
  const loggedOut = removeContext(asked.streams.environment)
  const text = loggedOut
    ? `logged out; the token is as good as before: obelisk user token revoke`
    : 'nobody is logged in'
  return say(asked, { loggedOut }, text)
}

async function whoami(asked: Asked): Promise<number> {
  const { gateway } = asked
  const who = await gateway.json<Whoami>({ path: '/api/whoami' })
  const { address } = gateway
  const nobody = address.startsWith('unix:') ? 'its owner' : 'anybody: it asks nobody who he is'
  const rows: readonly Row[] = [
    ['gateway', address],
    ['user', who.user ?? nobody],
    ['roles', who.roles.join(', ') || 'none'],
    ...(who.grant === undefined ? [] : ([['granted', grantText(who.grant)]] as const)),
    ...(who.topics?.length ? ([['topics', who.topics.join(' ')]] as const) : []),
  ]
  return show(asked, { gateway: address, ...who }, rowLines(9, rows))
}

function grantText({ ops, regions, fields, tasksPerSecond, openTasksMax }: Grant): string {
  const list = (some: readonly string[] | '*'): string => (some === '*' ? 'all' : some.join(' '))
  const boxes = regions === '*' ? '*' : regions.map(({ x, y, w, h }) => `${x},${y},${w},${h}`)
  return [
    `operations: ${list(ops)}`,
    `LSUs: ${list(boxes)}`,
    `fields: ${list(fields)}`,
    ...(tasksPerSecond === undefined ? [] : [`${count(tasksPerSecond, 'task')} a second`]),
    ...(openTasksMax === undefined ? [] : [`${openTasksMax} open`]),
  ].join('; ')
}

/** `gw.local` is `https://gw.local:8025`. */
function gatewayUrl(given: string): URL {
  const text = given.includes('://') ? given : `https://${given}`
  if (!URL.canParse(text)) throw usage(`"${given}" is not a URL like https://gw.local:8025`)
  const url = new URL(text)
  if (url.protocol !== 'https:') {
    const isMqtt = /^mqtts?:$/.test(url.protocol)
    const host = isMqtt ? `${url.hostname}:${HTTPS_PORT}` : url.host
    const message = `a token is shown over https:// alone: obelisk login https://${host}`
    throw fault('url-not-secure', message)
  }
  const isBare = url.pathname === '/' && url.search === '' && url.username === ''
  if (!isBare) throw usage(`"${given}" has more than a host and a port`)
  if (url.port === '' && !/:443\/?$/.test(text)) url.port = `${HTTPS_PORT}`
  return url
}

/** By the same name or address. */
function mqttUrl({ hostname }: URL, port: number): string {
  return `mqtts://${hostname}:${port}`
}

function userTokenIn(text: string): Token {
  const token = parseToken(text)
  if (token?.kind === 'user') return token
  const make = 'on the gateway: obelisk user token create <name>'
  const message =
    token === undefined
      ? `that is no token; ${make}`
      : `that token gives a board its identity, and is none of a user; ${make}`
  throw fault('token-malformed', message)
}
