/** Where retained messages of others outlive the gateway: in its ledger, with what the bridge owes for those cleared. */
import { count } from '../shared/core/count.ts'
import type { DiskWatch } from './adapters/disk-watch.ts'
import type { LedgerStore } from './adapters/ledger-store.ts'
import type { RetainedLedger } from './adapters/mqtt-retained-journal.ts'
import type { Clearings } from './clearings.ts'
import { DISK_FREE_BYTES_MIN } from './core/rules/ledger-room.ts'
import type { Notices } from './notices.ts'

export interface RetainedParts {
  readonly ledger: Pick<LedgerStore, 'retained' | 'writeRetained'>
  readonly clearings: Pick<Clearings, 'owe' | 'recordsOf'>
  readonly disk: Pick<DiskWatch, 'freeBytes'>
  readonly notices: Pick<Notices, 'take'>
}

export function retainedLedger(parts: RetainedParts): RetainedLedger {
  const { ledger, clearings, disk, notices } = parts
  return {
    messages: () => ledger.retained(),
    cleared: (topic) => clearings.owe(topic),
    write: (changes) => ledger.writeRetained(changes, clearings.recordsOf(changes.keys())),
    hasRoom: () => (disk.freeBytes ?? DISK_FREE_BYTES_MIN) >= DISK_FREE_BYTES_MIN,
    refused(messages) {
      const message = `no room: ${count(messages, 'retained message')} refused`
      notices.take({ level: 'warn', code: 'retained-full', message, fields: { count: messages } })
    },
  }
}
