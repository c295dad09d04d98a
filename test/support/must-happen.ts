/** The faults and paths that a simulation must have met, or it proves less than it says. */

/** What must have happened somewhere in enough seeds: else they prove less than they say. */
export const MUST_HAPPEN: readonly string[] = [
  ...['node-crash', 'node-crash-silent', 'node-crash-at-effect', 'node-stop', 'gateway-crash'],
  ...[
    'node-crash-in-flush',
    'gateway-crash-at-effect',
    'gateway-freeze',
    'cut',
    'stall',
    'freeze',
    'slow',
    'full-disk',
    'slow-target',
    'full-disk-for-good',
    'full-disk-for-ever',
    'full-target',
    'shed',
    'shed-under-drain',
  ],
  ...[
    'torn-commit',
    'card-lost',
    'all-cards',
    'card-restored',
    'rot',
    'drain',
    'revoke',
    'ledger-lost',
    'ledger-restored',
    'stall-one-way',
    'clock-jump',
  ],
]
  .map((fault) => `fault-${fault}`)
  .concat(
    ['dropped', 'gap', 'resend', 'lease-ended', 'read-reissued', 'answer-outlived-gateway'],
    ['replica-lagging', 'replica-in-sync', 'replica-stopped', 'cold-restart-with-open-writes'],
    ['node-suspect', 'node-alive', 'node-dead', 'id-taken', 'exit-0', 'exit-77'],
    ['store-replaced', 'store-wiped', 'repeat', 'conflict', 'cancelled', 'cancel-too-late'],
    ['end-completed', 'end-completed-done', 'end-cancelled', 'end-cancelled-none', 'end-expired'],
    ['end-expired-none', 'end-expired-pending', 'effect-done', 'refused-no-node', 'digest'],
    ['consistent-get', 'inconsistent-get', 'consistent-stat', 'inconsistent-stat'],
    ['consistent-gather', 'inconsistent-gather', 'consistent-overview', 'inconsistent-overview'],
    ['consistent-program', 'inconsistent-program', 'program-done', 'near-done', 'written'],
    ['copies-1', 'copies-2', 'copies-3'],
    ['doubt-began-loop-lag', 'doubt-ended-loop-lag', 'doubt-began-probe-late'],
    ['doubt-ended-probe-late', 'doubt-began-mass-silence', 'doubt-ended-mass-silence'],
    ['pages-packed', 'page-packed-on-its-way'],
    ['move-copying', 'move-catching-up', 'move-ended', 'move-rolled-back', 'move-under-write'],
    ['stream-closed', 'page-damaged', 'drain-began', 'node-left', 'recovered', 'tiles-recreated'],
    ['late-node', 'late-tile', 'result-cleared', 'sealed', 'scatter-done'],
    ['restored-ended', 'restored-open', 'restore-waits'],
  )

/** What one seed of a thousand nodes must have met. */
export const MUST_HAPPEN_TO_MANY: readonly string[] = [
  ...['node-crash', 'node-crash-silent', 'node-crash-at-effect', 'node-stop'],
  ...['cut', 'stall', 'freeze', 'slow', 'full-disk'],
]
  .map((fault) => `fault-${fault}`)
  .concat(
    ['resend', 'lease-ended', 'read-reissued', 'replica-lagging', 'replica-in-sync'],
    ['node-suspect', 'node-alive', 'exit-0', 'end-completed', 'end-completed-done'],
    ['consistent-get', 'consistent-stat', 'copies-1'],
  )

/** Where somebody looks at the grid. */
export const MUST_HAPPEN_TO_WATCHED = [
  ...['get', 'stat', 'overview', 'gather'].map((op) => `look-consistent-${op}`),
  ...['look-left', 'look-forgotten', 'look-same-tag', 'look-too-many-looks'],
  ...['watch-changed', 'watch-told'],
]

/** Where rules are set. */
export const MUST_HAPPEN_TO_RULED = [
  ...['rules-set', 'rule-raised', 'rule-cleared', 'rule-rests-raised', 'rule-rests-cleared'],
  ...['rule-event-again', 'fault-gateway-crash-at-effect'],
]

/** Where programs are patched. */
export const MUST_HAPPEN_TO_PATCHED = [
  ...['codex-define', 'codex-use', 'codex-set-context', 'patch-conflict', 'codex-rests'],
  ...['called-write', 'called-read', 'called-in-context', 'called-version', 'result-of-version'],
  ...['repeat-across-patch', 'near-done'],
  ...['fault-gateway-crash', 'fault-gateway-crash-at-effect'],
  ...['fault-ledger-lost', 'fault-ledger-restored', 'restored-ended'],
]

/** Where sensors tell what they read. */
export const MUST_HAPPEN_TO_SENSED = [
  ...['acknowledged', 'again', 'older', 'no-node', 'outside-grid'].map((what) => `reading-${what}`),
  ...['readings-done', 'journal-taken-up', 'cells-held-up', 'cells-of-lost-tiles'],
  ...['fault-ledger-lost', 'fault-ledger-restored', 'fault-gateway-crash-at-effect'],
  ...['readings-of-copy', 'readings-of-copy-older'],
]
