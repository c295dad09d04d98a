/** What the gateway may say of a fleet whose faults are all drawn, and what it must not. */

/** Notices that must never be given: nothing here may break what they speak of. */
export const ALARMS = ['stream-mismatch', 'drift', 'bad-answer', 'tile-lost', 'effect-lost']
export const REFUSALS_EXPECTED = ['id-taken', 'boot-behind', 'node-left']
/** Notices that say that a path was taken. */
export const PATHS = [
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
