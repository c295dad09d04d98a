/**
 * `npm test`: runs all test files, those that take longest first, as many at a time as fit. Each is a process of its
 * own, but for light ones, to start which costs more than to run them. Says of each file how it ended, and shows what
 * failed. With arguments, only the files whose paths hold one: `npm test -- shared/grid failure`.
 *
 * `tap run` would do the same, at the cost of 1.6 s of processor time a file for its loaders.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packagedProgram } from './support/packaged-programs.ts'
import { excerptOf, type Totals, totalsOf } from './support/tap-output.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const LOGS = join(ROOT, '.tap/logs')
/** Many more than a machine has cores: most tests wait for processes, disks and limits of time half of the time. */
const JOBS = 4 * availableParallelism()
/** Certificates that each Node would read first, which takes longer than all else of its start: no test needs them. */
const { NODE_EXTRA_CA_CERTS: _certificates, ...ENVIRONMENT } = process.env
/** For machines that do much else at the same time; tests have limits of their own below that. */
const FILE_LIMIT_MS = 1_200_000
const END_LIMIT_MS = 10_000

/** What runs in one process each: patterns of paths. Not what changes its user, for others could not write then. */
const TOGETHER: readonly RegExp[] = [
  /^test\/broker\/(core\/(?!bounded-work)|dashboard\/|driver|ledger-shape)/,
  /^test\/broker\/(cells-of-file|(fleet|history)-watch|home-assistant|http-|inputs|node-logs)/,
  /^test\/broker\/(rotations|summary|user-calls)/,
  /^test\/firmware-agent\/(core\/|driver)/,
  /^test\/shared\/(core|grid|operations|protocol)\//,
  /^test\/shared\/runtime\/(?!lmdb|exclusive-lock|as-owner)/,
  /^test\/broker\/adapters\/(?!event-log|security-log|http-|mqtt-(broker|connections))/,
  /^test\/broker\/adapters\/(http-server|mqtt-broker)/,
  /^test\/firmware-agent\/adapters\/(?!idle|device-metrics|operation-runner|slice-store)/,
  /^test\/scripts\/(demo|doctor|footprint|least-squares|unit-command|package\/inventory)/,
  /^test\/(simulation\/(checkers|scenarios)|tidy|docs|attempts|systemd)/,
]

/** Stands for what runs in one process, one file after the other. */
const MANY_FILES = 'many'

/** What takes longest, so that nothing long is left at the end; what waits most comes first. */
const FIRST = [
  ...['end-to-end/upgrade', 'end-to-end/ledger-restore', 'end-to-end/clocks'],
  ...['end-to-end/key-rotation', 'end-to-end/bridges', MANY_FILES],
  ...['end-to-end/hand-off', 'end-to-end/failure', 'end-to-end/commands', 'end-to-end/chaos'],
  ...['end-to-end/durability', 'simulation/fleet', 'simulation/mutants', 'scripts/package.'],
  ...[
    'end-to-end/disk-full',
    'end-to-end/secured',
    'end-to-end/wire',
    'scripts/install',
    'scripts/first-boot',
  ],
  ...['end-to-end/power-cut', 'scripts/flash', 'end-to-end/'],
  ...['broker/core/', 'shared/', 'simulation/', 'broker/', 'firmware-agent/'],
]

/** All that is TypeScript, by one compiler: each process would start its own. */
async function compileSources(): Promise<void> {
  const hooks = new URL('support/typescript/hooks.js', import.meta.url)
  const { compileAll } = await import(hooks.href)
  const files = ['broker', 'firmware-agent', 'scripts', 'shared', 'test']
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true }).map((path) =>
        join(ROOT, folder, String(path)),
      ),
    )
    .filter((path) => path.endsWith('.ts'))
  await compileAll(files)
}

/** The files of one process. */
type Lot = readonly string[]

function lots(wanted: readonly string[]): Lot[] {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true })
    .map((path) => `test/${path}`)
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
    .sort()
  const byName = new Map<string, string[]>()
  for (const file of files) {
    const name = TOGETHER.find((pattern) => pattern.test(file))?.source ?? file
    byName.set(name, [...(byName.get(name) ?? []), file])
  }
  const place = (lot: Lot): number => {
    const path = lot.length === 1 ? lot[0]! : `test/${MANY_FILES}`
    const index = FIRST.findIndex((part) => path.startsWith(`test/${part}`))
    return index === -1 ? FIRST.length : index
  }
  return [...byName.values()].sort((a, b) => place(a) - place(b))
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill()
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(1))

interface Ended extends Totals {
  readonly output: string
  readonly isGood: boolean
}

async function run(lot: Lot, job: number): Promise<Ended> {
  const program = lot.length === 1 ? lot : ['test/support/one-process.ts', ...lot]
  const child = spawn(
    process.execPath,
    ['--import=./test/support/typescript/register.js', '--enable-source-maps', ...program],
    {
      cwd: ROOT,
      env: { ...ENVIRONMENT, TAP_TIMEOUT: '600', TEST_JOB: `${job}/${JOBS}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  running.add(child)
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  }
  const late = setTimeout(() => {
    chunks.push(Buffer.from(`\nnot ok - not within ${FILE_LIMIT_MS} ms\n`))
    child.kill()
    setTimeout(() => child.kill('SIGKILL'), END_LIMIT_MS).unref()
  }, FILE_LIMIT_MS)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  clearTimeout(late)
  running.delete(child)
  const output = Buffer.concat(chunks).toString()
  const totals = totalsOf(output)
  // A process that ends in the middle has said nothing of what it did not do.
  const isGood = code === 0 && totals !== undefined && totals.fail === 0
  const { total, pass, fail, skip } = totals ?? { total: 0, pass: 0, fail: 0, skip: 0 }
  return { output, isGood, total, pass, skip, fail: isGood ? 0 : Math.max(1, fail) }
}

const wanted = process.argv.slice(2)
const left = lots(wanted)
const startMs = performance.now()
const sums = { total: 0, pass: 0, fail: 0, skip: 0 }
const bad: string[] = []

async function work(job: number): Promise<void> {
  for (let lot = left.shift(); lot !== undefined; lot = left.shift()) {
    const beganMs = performance.now()
    const ended = await run(lot, job)
    for (const name of ['total', 'pass', 'fail', 'skip'] as const) sums[name] += ended[name]
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1)
    const others = lot.length === 1 ? '' : ` and ${lot.length - 1} more`
    const name = `${lot[0]}${others}`
    const log = join(LOGS, `${lot[0]}.tap`)
    mkdirSync(dirname(log), { recursive: true })
    writeFileSync(log, ended.output)
    process.stdout.write(`${ended.isGood ? 'ok' : 'not ok'} ${name}, ${seconds} s\n`)
    if (ended.isGood) continue
    bad.push(name)
    process.stdout.write(`${excerptOf(ended.output)}\n  all of it: ${log}\n`)
  }
}

// Where these fail, the tests say why.
if (wanted.length === 0) await compileSources().catch(() => {})
if (left.some(([file]) => file!.startsWith('test/end-to-end/'))) {
  // Once, before all that come first make the same beside each other.
  await packagedProgram().catch(() => {})
}
await Promise.all(Array.from({ length: JOBS }, (_, job) => work(job)))
for (const name of bad) process.stdout.write(`not ok ${name}\n`)
const { total, pass, fail, skip } = sums
process.stdout.write(`# { total: ${total}, pass: ${pass}, fail: ${fail}, skip: ${skip} }\n`)
process.stdout.write(`# ${((performance.now() - startMs) / 1000).toFixed(1)} s\n`)
process.exitCode = bad.length === 0 && total > 0 ? 0 : 1
