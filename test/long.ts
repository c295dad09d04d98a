/**
 * `npm run test:long`: the tests that `npm test` and `.ci/run` make shorter, at full length, one after the other.
 * Hours; docs/testing.md says what each does.
 */
import { spawnSync } from 'node:child_process'

interface Round {
  readonly npm: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

const tap = (environment: Round['environment'], ...files: readonly string[]): Round => {
  return { npm: ['exec', '--', 'tap', 'run', '--timeout=36000', ...files], environment }
}

const ROUNDS: readonly Round[] = [
  tap({ SEEDS: '5000' }, 'test/simulation/fleet.test.ts'),
  tap({ SEEDS: '400' }, 'test/simulation/mutants.test.ts'),
  tap({ TASKS: '200000' }, 'test/simulation/old-ledger.test.ts'),
  tap({ RUNS: '200000' }, 'test/fuzz/decoders.test.ts'),
  tap({ RUNS: '50000' }, 'test/fuzz/doors.test.ts'),
  tap({ IMAGES: '5000' }, 'test/end-to-end/power-cut.test.ts'),
  tap({ LONG: '1' }, 'test/end-to-end/durability.test.ts'),
  tap({ LONG: '1' }, 'test/end-to-end/codex.test.ts'),
  tap({ HAND_OFF_MB: '64' }, 'test/end-to-end/hand-off.test.ts'),
  tap({ FREEZE_MS: '60000' }, 'test/end-to-end/doubt.test.ts'),
  tap({ KILLS: '500' }, 'test/end-to-end/chaos.test.ts'),
  { npm: ['run', 'test:others'], environment: {} },
  { npm: ['run', 'test:boards'], environment: { LONG: '1' } },
]

const EXIT_SKIPPED = 80

let failed = 0
for (const { npm, environment } of ROUNDS) {
  const set = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const line = [...set, 'npm', ...npm].join(' ')
  process.stderr.write(`${line}\n`)
  const env = { ...process.env, ...environment }
  const { status } = spawnSync('npm', npm, { env, stdio: 'inherit' })
  if (status === 0 || status === EXIT_SKIPPED) continue
  failed += 1
  process.stderr.write(`failed: ${line}\n`)
}
process.exitCode = Math.min(failed, 1)
