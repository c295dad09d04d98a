/** What asking the gateway said. */
import type { DetectorView } from '../../shared/protocol/views.ts'
import { MISSING, RECOVER } from '../commands/detector.ts'
import { printable } from '../commands/streams.ts'
import type { DoctorFacts } from './collect-facts.ts'
import { AS_ROOT, type Finding, fail, installCommand, ok, warn } from './finding.ts'

export type GatewayProbe =
  | {
      readonly kind: 'reached'
      readonly roundTripMs: number
      readonly isNodeOnline?: boolean
      readonly fleet?: DetectorView | undefined
    }
  | {
      readonly kind:
        | 'name'
        | 'refused'
        | 'silent'
        | 'not-authorised'
        | 'not-a-gateway'
        /** Nothing that can be said is TLS. */
        | 'not-tls'
        /** Its authority is not that of the identity here. */
        | 'other-fleet'
        | 'not-asked'
      readonly detail: string
    }

const TUNNEL =
  'if it is not, its port is on loopback, so mind the tunnel: ssh -N -R 1883:127.0.0.1:1883 <board>'

export function gatewayFinding({ gateway, gatewayAddress, role, unit }: DoctorFacts): Finding {
  const check = 'gateway'
  const at = gatewayAddress
  if (gateway.kind === 'reached') {
    return ok(check, `${at} answers in ${Math.round(gateway.roundTripMs)} ms`)
  }
  const { kind, detail } = gateway
  const setUrl = `sudo obelisk install --role ${role} --gateway mqtts://<host>:8883`
  if (kind === 'not-asked') return warn(check, `not tried, as only root may: ${detail}`, AS_ROOT)
  if (role === 'gateway') {
    const fix =
      unit?.isLoaded === true ? 'sudo systemctl restart obelisk-gateway' : installCommand(role)
    return fail(check, `${at} does not answer as a gateway (${detail})`, fix)
  }
  const start = 'on the gateway: sudo systemctl start obelisk-gateway'
  const open = `${start}; if it is secured: ${setUrl} --token-file <file>; ${TUNNEL}`
  const words: Readonly<Record<typeof kind, readonly [message: string, fix: string]>> = {
    name: [`the name in ${at} is not known (${detail})`, setUrl],
    refused: [`nothing listens at ${at}`, at.startsWith('mqtts:') ? start : open],
    silent: [
      `${at} does not answer (${detail})`,
      'ip route; ping the host: a firewall or the network',
    ],
    'not-authorised': [
      `${at} refuses this node (${detail})`,
      'on the gateway: obelisk node ls; obelisk security log says why; a node that was revoked needs a new token',
    ],
    'not-tls': [`no secured gateway at ${at} (${detail})`, `${setUrl}; ${TUNNEL}`],
    'other-fleet': [
      `the gateway at ${at} is another fleet's: ${detail}`,
      `${setUrl}; for a new gateway a new token: obelisk token create`,
    ],
    'not-a-gateway': [`${at} is not an MQTT broker (${detail})`, setUrl],
  }
  return fail(check, ...words[kind])
}

/** Somebody else is online under our name while our unit is not. */
export function nameFinding({ gateway, unit, id, role }: DoctorFacts): Finding[] {
  if (role !== 'agent' || gateway.kind !== 'reached' || id === undefined) return []
  if (unit?.activeState === 'active' || gateway.isNodeOnline !== true) {
    return [ok('name', id)]
  }
  const fix = `obelisk node info ${id}; sudo obelisk install --role agent --id <another>`
  return [fail('name', `another node is online as ${id}`, fix)]
}

/** What a gateway that answers says of its fleet. */
export function fleetFindings({ gateway }: DoctorFacts): Finding[] {
  if (gateway.kind !== 'reached' || gateway.fleet === undefined) return []
  const { recovery, tiles_missing: missing = 0 } = gateway.fleet
  const findings: Finding[] = []
  if (recovery !== undefined) {
    const { shown, expected, awaited } = recovery
    const names = awaited.length === 0 ? '' : `; awaited: ${printable(awaited.join(', '))}`
    const message = `being rebuilt from the nodes: ${shown} of ${expected} have come${names}`
    findings.push(warn('ledger', message, `start them; if one will never come: ${RECOVER}`))
  }
  if (missing > 0) {
    findings.push(warn('tiles', MISSING.is(missing), MISSING.helps))
  }
  return findings
}
