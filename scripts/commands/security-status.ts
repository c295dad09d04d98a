/** `obelisk security status`: how it stands with who may come in, at a glance. */
import type { Listeners, SecurityStatus } from '../../broker/adapters/http-port.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import { count } from '../../shared/core/count.ts'
import { formatHead } from '../../shared/protocol/security-log.ts'
import { EXIT_DONE, EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { verifySecurityLog } from '../../shared/runtime/security-log-files.ts'
import { isBehind } from '../doctor/security-findings.ts'
import { type Asked, show } from './command-place.ts'
import { day, paint, printable, type Row, type Streams, when } from './streams.ts'

type Status =
  | { readonly mode: 'open'; readonly listeners: Listeners }
  | ({ readonly mode: 'secured'; readonly listeners: Listeners } & SecurityStatus)

/** What is wrong with the log; nothing where it cannot be looked at from here. */
type Verdict = { readonly isWhole: boolean; readonly lines: number } | undefined

const DAY_MS = 86_400_000

/** Ends with 1 where the security log is not whole, or takes no line. */
export async function showSecurityStatus(asked: Asked): Promise<number> {
  const { gateway, streams } = asked
  const status = await gateway.json<Status>({ path: '/api/security/status' })
  const verdict = status.mode === 'open' ? undefined : await verdictOf(gateway, status)
  const isBroken = status.mode === 'secured' && status.log.isBroken
  const code = isBroken || verdict?.isWhole === false ? EXIT_FAILED : EXIT_DONE
  const rows = [
    ...listenerRows(gateway, status),
    ...(status.mode === 'open' ? [] : securedRows(status, verdict, Date.now(), streams)),
  ]
  const said = { gateway: gateway.address, ...status, verified: verdict?.isWhole ?? null }
  show(asked, said, rows.map(([name, text]) => `${name.padEnd(16)}${text}\n`).join(''))
  return code
}

/** Whoever came by the socket of the owner is on the machine, and may read the files. */
async function verdictOf(
  { address }: GatewayClient,
  { log: { folder, head } }: SecurityStatus,
): Promise<Verdict> {
  if (!address.startsWith('unix:')) return undefined
  try {
    return await verifySecurityLog(folder, head)
  } catch {
    return undefined
  }
}

function listenerRows({ address }: GatewayClient, { mode, listeners }: Status): Row[] {
  const { mqtt, http, admin } = listeners
  const how = mode === 'open' ? 'open: whoever reaches it may command the fleet' : 'secured'
  const scheme = mode === 'open' ? ['mqtt', 'http'] : ['mqtts', 'https']
  return [
    ['gateway', printable(address)],
    ['mode', how],
    ['listens', `${scheme[0]}://${hostOf(mqtt)} ${scheme[1]}://${hostOf(http)}`],
    ...(admin === undefined ? [] : [['owner', printable(admin)] as const]),
  ]
}

function hostOf({ host, port }: Listeners['mqtt']): string {
  return printable(`${host.includes(':') ? `[${host}]` : host}:${port}`)
}

function securedRows(
  { authority, users, openTokens, locked, lockedCount, refused, log }: SecurityStatus,
  verdict: Verdict,
  nowTs: number,
  streams: Streams,
): Row[] {
  const roles = Object.entries(users.byRole).filter(([, count]) => count > 0)
  const kinds = roles.map(([role, count]) => `${count} ${role}`)
  const some = [...kinds, ...(users.disabled > 0 ? [`${users.disabled} disabled`] : [])]
  const { unused, unusedCount } = users
  const rows: Row[] = [
    ['pin', printable(authority.pin)],
    ...authority.leaves.map(
      ({ of, names, untilTs }): Row => [
        `seen by ${of}`,
        `until ${day(untilTs)}, ${left(untilTs, nowTs)}: ${printable(names.join(' '))}`,
      ],
    ),
    ['users', `${users.count}${some.length > 0 ? ` (${some.join(', ')})` : ''}`],
    ...(unusedCount > 0 ? [['unused 90 days', listText(unused, unusedCount)] as const] : []),
    ['open tokens', `${openTokens}`],
    ['backup', backupText(authority)],
    ['log head', `${formatHead(log.head)}, ${logText(log.isBroken, verdict, streams)}`],
  ]
  for (const { user, source, seconds } of locked) {
    const who = user === undefined ? source : `${user} from ${source}`
    rows.push(['locked', printable(`${who}, for ${seconds} s`)])
  }
  if (lockedCount > locked.length) rows.push(['locked', `${lockedCount - locked.length} more`])
  for (const { ts, event, who, source, via, code, count } of refused) {
    const words = [event, who, source, via, code, count > 1 ? `×${count}` : undefined]
    rows.push(['refused', printable(`${when(ts)}  ${words.filter(Boolean).join('  ')}`)])
  }
  return rows
}

function backupText(authority: NonNullable<SecurityStatus['authority']>): string {
  if (authority.backupTs === undefined) return 'none yet: obelisk ca backup'
  const behind = isBehind(authority)
    ? '; keys or recipients have changed since: obelisk ca backup'
    : ''
  return `${when(authority.backupTs)}${behind}`
}

function logText(isBroken: boolean, verdict: Verdict, streams: Streams): string {
  if (isBroken) return paint(streams, 'red', 'the disk takes no line: nothing is granted')
  if (verdict === undefined) return 'which only the owner of the gateway can verify, on its machine'
  if (verdict.isWhole) return `${count(verdict.lines, 'line')}, whole`
  return paint(streams, 'red', 'not what the gateway wrote: obelisk security log --verify')
}

function left(untilTs: number, nowTs: number): string {
  const days = Math.floor((untilTs - nowTs) / DAY_MS)
  if (days > 36_500) return 'for good'
  return days >= 0 ? `${days} days` : 'over'
}

function listText(names: readonly string[], count: number): string {
  const more = count > names.length ? ` and ${count - names.length} more` : ''
  return printable(`${names.join(' ')}${more}`)
}
