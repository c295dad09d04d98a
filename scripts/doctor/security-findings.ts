/** Whether an agent has what its gateway knows it by, and a gateway its keys, and nobody else. */
import type { SecurityStatus } from '../../broker/adapters/http-port.ts'
import { day } from '../commands/streams.ts'
import type { DoctorFacts } from './collect-facts.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

export type IdentityFacts =
  | { readonly kind: 'none' }
  | { readonly kind: 'hidden' }
  | { readonly kind: 'broken'; readonly why: string }
  | {
      readonly kind: 'there'
      /** Of the fleet's authority, base 32. */
      readonly pin: string
      readonly sinceMs: number
      /** Of a gateway: when the last backup of its keys was made. */
      readonly backupTs?: number
    }

export type SecurityFacts = DoctorFacts['security']
type Facts = Pick<DoctorFacts, 'role' | 'id' | 'security'>

const CHECK = 'identity'

export function securityFindings(facts: Facts): Finding[] {
  const { role, security } = facts
  const exposed = security.exposed.map((path) =>
    fail('permissions', `others may read ${path}`, `sudo chmod 600 ${path}`),
  )
  const findings = role === 'agent' ? agentFindings(facts) : gatewayFindings(facts)
  return [...exposed, ...leftOver(security), ...findings]
}

function leftOver({ leftOver: path }: SecurityFacts): Finding[] {
  if (path === undefined) return []
  const message = `${path} has the keys of a fleet: a restore was cut off, or is still at it`
  return [warn('permissions', message, `where no restore runs: sudo rm -r ${path}`)]
}

function agentFindings({ id, security }: Facts): Finding[] {
  const { identity, token, folder, isUrlSecure } = security
  const findings: Finding[] = []
  if (security.isOpenBeyondLoopback) {
    const fix =
      'sudo obelisk install --role agent --gateway mqtts://<host>:8883 --token-file <file>'
    findings.push(fail('url', 'mqtt:// to another machine shows everything to the network', fix))
  }
  switch (identity.kind) {
    case 'hidden':
      break
    case 'broken':
      findings.push(fail(CHECK, identity.why, 'on the gateway: obelisk token create --replace'))
      break
    case 'none':
      if (isUrlSecure && token === undefined) {
        const fix = `on the gateway: obelisk token create ${id ?? '<id>'}; here: sudo obelisk install --role agent --token-file <file>`
        findings.push(fail(CHECK, 'there is none, and no token to get one with', fix))
      } else if (isUrlSecure) {
        const fix = 'journalctl -u obelisk-agent -n 20'
        findings.push(warn(CHECK, 'there is none yet: the agent has a token and asks for one', fix))
      } else if (token !== undefined) {
        const fix = 'sudo obelisk install --role agent --gateway mqtts://<host>:8883'
        findings.push(fail(CHECK, 'there is a token, which is shown over mqtts:// alone', fix))
      }
      break
    case 'there': {
      const since = day(identity.sinceMs)
      findings.push(ok(CHECK, `that of ${id} in ${folder}, since ${since}; pin ${identity.pin}`))
      if (token !== undefined) {
        const message = `${token} is still there, and no longer needed`
        findings.push(warn('token', message, 'sudo obelisk install --role agent'))
      }
    }
  }
  return findings
}

function gatewayFindings({ security }: Facts): Finding[] {
  const { identity, listens, socket, status } = security
  const check = 'security'
  const where = listens === undefined ? '' : `; it listens on ${listens}`
  switch (identity.kind) {
    case 'hidden':
      return []
    case 'broken':
      return [fail(check, identity.why, 'ls -l /var/lib/obelisk-gateway/security')]
    case 'none':
      return [ok(check, `not secured: it asks nobody who he is${where}`)]
    case 'there': {
      const door =
        socket === undefined ? "its owner's socket is not there" : `owner's socket ${socket}`
      const secured = ok(check, `secured, pin ${identity.pin}${where}; ${door}`)
      const said = status === undefined ? [] : statusFindings(status, Date.now())
      return [secured, backupFinding(identity.backupTs), ...said]
    }
  }
}

function backupFinding(ts: number | undefined): Finding {
  const check = 'backup'
  if (ts !== undefined) return ok(check, `of keys and identities: ${day(ts)}`)
  const message = 'there is none of the keys: when this disk dies, each board needs a new token'
  return warn(check, message, 'sudo obelisk ca backup <file>')
}

export type AskedStatus = Pick<SecurityStatus, 'authority' | 'users' | 'refused' | 'log'>

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
