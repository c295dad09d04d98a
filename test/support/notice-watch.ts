/** What the gateway may say of a fleet whose faults are all drawn, what it must not, and which paths that tells of. */
import type { GatewayNotice } from '../../broker/core/effects.ts'
import type { HeardTimes } from './heard-times.ts'
import type { RebuiltLedger } from './rebuilt-ledger.ts'
import type { RestoredCopy } from './restored-copy.ts'
import type { SimulatedFaults } from './simulated-faults.ts'
import type { SimulatedFleet } from './simulated-fleet.ts'
import { violated } from './violation.ts'

interface Parts {
  readonly heard: HeardTimes
  readonly faults: SimulatedFaults
  readonly rebuild: RebuiltLedger
  readonly copy: RestoredCopy | undefined
  readonly deadAfterMs: number
}

/** Notices that must never be given: nothing here may break what they speak of. */
const ALARMS = ['stream-mismatch', 'drift', 'bad-answer', 'tile-lost', 'effect-lost']
const REFUSALS_EXPECTED = ['id-taken', 'boot-behind', 'node-left']
/** Notices that say that a path was taken. */
const PATHS = [
  'replica-lagging',
  'replica-in-sync',
  'replica-stopped',
  'node-suspect',
  'node-alive',
  'node-dead',
  'boot-behind',
  'node-quarantined',
  'effect-done',
  'lease-ended',
  'read-refused',
  'read-reissued',
  'store-replaced',
  'store-wiped',
  'move-ended',
  'move-rolled-back',
  'stream-closed',
  'page-damaged',
  'copy-failed',
  'drain-began',
  'node-left',
  'recovered',
  'tiles-recreated',
]

export class NoticeWatch {
  readonly #fleet: SimulatedFleet
  readonly #parts: Parts

  constructor(fleet: SimulatedFleet, parts: Parts) {
    this.#fleet = fleet
    this.#parts = parts
  }

  noticed({ code, message, fields }: GatewayNotice): void {
    if (ALARMS.includes(code) && !(code.endsWith('-lost') && this.#fleet.lost.isAny)) {
      violated(`${code}: ${message}`)
    }
    if (code === 'node-refused') {
      const reason = String(fields?.reason)
      if (!REFUSALS_EXPECTED.includes(reason)) violated(`refused as ${reason}: ${message}`)
      this.#fleet.count(reason)
    }
    this.#parts.rebuild.noticed(code, String(fields?.node))
    if (code === 'recovered') this.#parts.copy?.recovered(fields ?? {})
    if (PATHS.includes(code)) this.#fleet.count(code)
    if (code.startsWith('doubt-')) this.#fleet.count(`${code}-${fields?.reason}`)
    if (code === 'node-dead' && fields?.reason === 'revoked') {
      if (!this.#parts.faults.wasRevoked(String(fields.node)))
        violated(`node ${fields.node} has its key`)
    } else if (code === 'node-dead') {
      this.#parts.heard.checkDeath(
        String(fields?.node),
        this.#fleet.gateway.awakeMs,
        this.#parts.deadAfterMs,
      )
    }
  }
}
