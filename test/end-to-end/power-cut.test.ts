/**
 * Power is cut at any moment of a run of either store, through the store's real adapter. What a cut
 * leaves on the disk is built from a recording of every write and flush; then the store is opened on it,
 * as after a restart of the machine, and must hold exactly one state, nothing acknowledged missing.
 * `IMAGES` says how many cuts; `KEPT` names the directory of a run whose images are to be judged again.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { PowerCuts, type SubjectName, type Verdicts } from '../support/power-cut/power-cuts.ts'
import { readRecording } from '../support/power-cut/recording.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const IMAGES = Number(process.env.IMAGES ?? 150)
const CONTROL_IMAGES = 30
const kept = process.env.KEPT
const command = 'npx tap run test/end-to-end/power-cut.test.ts'
t.comment(`SEED=${seed} IMAGES=${IMAGES} ${command}`)
// For machines that do much else at the same time.
t.setTimeout(600_000 + IMAGES * 500)
t.jobs = 2

const cuts = PowerCuts.prepare(kept)

const STORES: Readonly<Record<SubjectName, string>> = {
  slice: 'the slice of an agent',
  ledger: 'the ledger of a gateway',
}

for (const [name, what] of Object.entries(STORES) as [SubjectName, string][]) {
  t.test(`${what} survives a power cut at any moment`, { buffered: true }, async (t) => {
    if (typeof cuts === 'string') {
      t.pass(cuts, { skip: cuts })
      return
    }
    const isRecorded = existsSync(cuts.recordingOf(name))
    const records = isRecorded
      ? readRecording(cuts.recordingOf(name))
      : await cuts.record(name, seed)
    const kinds = new Set(records.map(({ kind }) => kind))
    for (const kind of ['written', 'flush-begun', 'flushed', 'renamed', 'unlinked', 'said']) {
      t.ok(kinds.has(kind as (typeof records)[number]['kind']), `${kind} was recorded`)
    }
    t.ok(cuts.isComplete(name, records), 'the recording amounts to the file on disk')

    const verdicts = await cuts.judge(name, seed, { images: Math.ceil(IMAGES / 2) })
    t.comment(figures(name, verdicts))
    t.same(verdicts.violations, [], 'one state, nothing acknowledged missing')
    if (!t.passing()) t.comment(`SEED=${seed} IMAGES=${IMAGES} KEPT=${cuts.directory} ${command}`)

    const control = { images: CONTROL_IMAGES, areFlushesIgnored: true }
    const broken = await cuts.judge(name, seed, control)
    t.comment(`${figures(name, broken)}, of a disk that ignores flushes`)
    t.not(broken.violations.length, 0, 'the method sees a disk that ignores flushes')
  })
}

t.teardown(() => {
  if (typeof cuts !== 'string' && kept === undefined && t.passing()) cuts.remove()
})

function figures(name: string, { images, violations }: Verdicts): string {
  const count = (start: RegExp): number =>
    violations.filter(({ problem }) => start.test(problem)).length
  const lost = count(/^lost/)
  const died = count(/^it (died|hung)/)
  const others = violations.length - lost - died
  return `${name}: ${images} images, ${lost} lost, ${others} inconsistent, ${died} died`
}
