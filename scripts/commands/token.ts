/** Tokens for boards, and the end of what they gave. */

import type { TokenView } from '../../broker/adapters/http-port.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { assertHidden } from '../client/node-carrier.ts'
import { usage } from '../fault.ts'
import {
  type Asked,
  at,
  type CommandGroup,
  demand,
  type Flags,
  given,
  remove,
  say,
  show,
} from './command-place.ts'
import { table, when } from './streams.ts'
import { assertName, durationIn } from './task-request.ts'

type CreateFlags = Flags<'ttl' | 'count' | 'prefix', 'anyNode' | 'replace'>

interface Created extends TokenView {
  readonly token: string
}

const HOUR_MS = 3_600_000
const COUNT_MAX = 1000
const TTL_MS_MIN = 60_000
/** What the gateway lists at most. */
const LISTED_MAX = 1000

export function addTokenCommands(obelisk: CommandGroup): void {
  const token = obelisk.group('token', 'make tokens that give boards an identity, and look at them')
  token
    .asks('create [node]', createTokens)
    .description('make a token for a node; it is shown this once')
    .option('--any-node', 'for any node that the fleet has not heard of: it says its name itself')
    .option('--replace', 'the node has an identity, whose place the new one takes')
    .option('--ttl <time>', 'how long it can be used: 30m, 24h or 7d (default 24h)')
    .option('--count <n>', 'make so many, for nodes with numbers; one a line, with its node')
    .option('--prefix <name>', 'what comes before the number')
  token.asks('ls', listTokens).description('list the tokens, the newest first')
  token
    .asks('revoke <id>', (asked, id: string) =>
      remove(asked, at`/api/tokens/${id}`, `token ${id} is worth nothing now`),
    )
    .description('make a token worthless')
}

/** `token create`. The token alone goes to the standard output, so that it can be piped. */
async function createTokens(asked: Asked<CreateFlags>, node: string | undefined): Promise<number> {
  const { gateway, flags } = asked
  const nodes = nodesOf(node, flags)
  const wish = { replace: flags.replace, ttl_hours: given(flags.ttl, hoursOf) }
  for (const one of nodes) {
    const created = await createToken(gateway, { node: one, ...wish })
    say(asked, created, `${flags.count === undefined ? '' : `${one} `}${created.token}`)
  }
  return EXIT_DONE
}

interface TokenWish {
  readonly node: string | null
  readonly replace?: boolean | undefined
  readonly ttl_hours?: number | undefined
}

export async function createToken(gateway: GatewayClient, wish: TokenWish): Promise<Created> {
  const created = await demand<Created>(gateway, 'POST', '/api/tokens', wish)
  // Its pin says whom a board trusts.
  assertHidden(gateway)
  return created
}

function nodesOf(node: string | undefined, flags: CreateFlags): (string | null)[] {
  const { anyNode = false, count, prefix } = flags
  if ((count === undefined) !== (prefix === undefined)) {
    throw usage('--count and --prefix go together: --count 10 --prefix n makes n1 to n10')
  }
  const given = [node !== undefined, anyNode, count !== undefined].filter(Boolean).length
  if (given !== 1) {
    throw usage('say for which node: token create <node>, or --any-node, or --count and --prefix')
  }
  if (node !== undefined) assertName(node, 'a node')
  if (count === undefined) return [node ?? null]
  const wanted = /^\d{1,4}$/.test(count) ? Number(count) : 0
  if (wanted < 1 || wanted > COUNT_MAX) throw usage(`--count: 1 to ${COUNT_MAX} are made at a time`)
  assertName(`${prefix}${wanted}`, 'a node')
  return Array.from({ length: wanted }, (_, index) => `${prefix}${index + 1}`)
}

/** `30m`, `24h` or `7d` in hours. */
export function hoursOf(text: string): number {
  const ms = durationIn(text)
  if (ms === undefined) throw usage(`--ttl: "${text}" is not a time like 30m, 24h or 7d`)
  if (ms < TTL_MS_MIN) throw usage(`--ttl: "${text}" is too short: a minute at least`)
  return ms / HOUR_MS
}

/** `token ls`. */
async function listTokens(asked: Asked): Promise<number> {
  const { gateway, streams } = asked
  const tokens = await gateway.json<TokenView[]>({ path: '/api/tokens' })
  if (tokens.length >= LISTED_MAX) streams.stderr.write(`only the newest ${LISTED_MAX} are shown\n`)
  const text = table(streams, tokens, [
    { title: 'ID', text: ({ id }) => id },
    { title: 'NODE', text: ({ node }) => node ?? 'any' },
    { title: 'STATE', text: (token) => stateOf(token, Date.now()) },
    { title: 'UNTIL', text: ({ untilTs }) => when(untilTs) },
    { title: 'MADE', text: ({ createdTs }) => when(createdTs) },
    { title: 'BY', text: ({ by }) => by },
  ])
  return show(asked, tokens, text)
}

function stateOf({ revokedTs, usedTs, untilTs, replaces }: TokenView, nowTs: number): string {
  // Also where it was revoked later, as a restore does with all of them: nobody could have used it again.
  if (usedTs !== undefined) return `used ${when(usedTs)}`
  if (revokedTs !== undefined) return `revoked ${when(revokedTs)}`
  if (nowTs > untilTs) return 'expired'
  return replaces ? 'open, replaces' : 'open'
}

/** `node revoke`. */
export async function revokeNode(asked: Asked, id: string): Promise<number> {
  const path = at`/api/identities/node/${id}`
  const said = `node ${id} has no identity any more: it cannot come back, and its tiles move away`
  return await remove(asked, path, said)
}

/** `node rotate-key`. */
export async function rotateKeys(
  asked: Asked<{ readonly all?: boolean }>,
  id: string | undefined,
): Promise<number> {
  const { gateway, flags } = asked
  if ((id === undefined) !== (flags.all === true)) throw usage('say which node, or --all')
  const ids = id === undefined ? await nodesWithKeys(gateway) : [id]
  for (const one of ids) {
    const answer = await demand(gateway, 'POST', at`/api/identities/node/${one}/rotate`)
    say(asked, answer, `node ${one} makes another key, as soon as it is here`)
  }
  return EXIT_DONE
}

async function nodesWithKeys(gateway: GatewayClient): Promise<string[]> {
  const nodes = await gateway.json<NodeView[]>({ path: '/api/nodes' })
  const ids: string[] = []
  for (const { id } of nodes) {
    const path = at`/api/identities/node/${id}`
    try {
      const { keys } = await gateway.json<{ keys: readonly unknown[] }>({ path })
      if (keys.length > 0) ids.push(id)
    } catch (error) {
      // Of before the gateway was secured.
      if (!(error instanceof ObeliskError && error.code === 'unknown-node')) throw error
    }
  }
  return ids
}
