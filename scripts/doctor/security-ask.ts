/** What a secured gateway says of itself to its owner, and what of it a person should know. */
import type { SecurityStatus } from '../../broker/adapters/http-port.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import { day } from '../commands/streams.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

export type AskedStatus = Pick<SecurityStatus, 'authority' | 'users' | 'refused' | 'log'>

/** Nothing where it cannot be asked: the finding of the gateway says why. */
export async function askStatus(
  socket: string,
  timeoutMs: number,
): Promise<AskedStatus | undefined> {
  try {
    const path = '/api/security/status'
    const status = await gatewayClient(socket).json<AskedStatus>({ path, timeoutMs })
    return status.authority === undefined ? undefined : status
  } catch {
    return undefined
  }
}

export function statusFindings(
  { authority, users, refused, log }: AskedStatus,
  nowTs: number,
): Finding[] {
  const hosts = authority.leaves.find((leaf) => leaf.of === 'hosts')
  const isClockBehind = refused.some(({ event }) => event === 'clock-behind')
  return [
    ...(hosts === undefined ? [] : [leafFinding(hosts.untilTs, nowTs)]),
    ...(isBehind(authority) ? [warn('backup', BEHIND, 'sudo obelisk ca backup <file>')] : []),
    ...(users.unusedCount > 0 ? [unusedFinding(users)] : []),
    ...(log.isBroken ? [fail('security log', LOG_BROKEN, `df -h ${log.folder}`)] : []),
    ...(isClockBehind ? [warn('clock', CLOCK_BEHIND, 'timedatectl')] : []),
  ]
}

/** What came after the last backup is not in it: with it a board that has another key stays out, and its old key is in. */
export function isBehind({ backupTs, changedTs = 0 }: SecurityStatus['authority']): boolean {
  return backupTs !== undefined && changedTs > backupTs
}

const BEHIND = 'keys or recipients have changed since the last one'
const LOG_BROKEN = 'the disk takes no line, so nothing new is granted'
const CLOCK_BEHIND = 'it is more than an hour behind what the gateway has seen before'

function leafFinding(untilTs: number, nowTs: number): Finding {
  const end = day(untilTs)
  if (untilTs > nowTs) return ok('certificate', `browsers and clients see one that ends ${end}`)
  const fix = 'journalctl -u obelisk-gateway | grep leaf-not-renewed'
  return fail('certificate', `what browsers and clients see is over since ${end}`, fix)
}

function unusedFinding({ unused, unusedCount }: SecurityStatus['users']): Finding {
  const more = unusedCount > unused.length ? ` and ${unusedCount - unused.length} more` : ''
  const message = `nobody has come as ${unused.join(', ')}${more} for 90 days`
  return warn('users', message, 'if nobody needs them: sudo obelisk user rm <name>')
}
