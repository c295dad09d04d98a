/** What `npm run simulate` prints: what fails is said with the line that shows it again. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { FLEETS } from '../support/fleets.ts'
import { SeedTotals } from '../support/seed-totals.ts'
import { simulateCommand } from '../support/simulate-command.ts'

// Each process loads the compiler first: on a busy machine that takes a while.
t.setTimeout(600_000)

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

async function simulate(line: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const printed: string[] = []
  const errors: string[] = []
  const code = await simulateCommand(line.split(' '), {
    print: (text) => printed.push(text),
    printError: (text) => errors.push(text),
  })
  return { code, stdout: printed.join('\n'), stderr: errors.join('\n') }
}

t.test('fresh seeds are run, counted, and do not prove what they did not meet', async (t) => {
  const { code, stdout } = await simulate('--seeds 2 --processes 2')
  t.equal(code, 0, stdout)
  t.match(stdout, /^fault-[a-z-]+ \d+$/m)
  t.match(stdout, /^2 seeds in .* 0 failed$/m)
  t.match(stdout, 'too few to ask whether everything was met')
})

t.test('a seed that fails is printed with the line that shows it again', async (t) => {
  const mutant = '--mutant effects-leave-before-the-flush'
  const caught = await simulate(`${mutant} --processes 1`)
  t.equal(caught.code, 0, 'a mutant is to be caught')
  const [, how, replay] = /caught by seed \d+: (.*)\n {2}npm (run .*)\n/.exec(caught.stdout)!
  const again = promisify(execFile)('npm', replay!.split(' '), { cwd: ROOT })
  const { code, stdout } = await t.rejects(again).then(() => again.catch((error) => error))
  t.equal(code, 1)
  t.ok(stdout.includes(how!), stdout)
  t.ok(stdout.includes(`npm ${replay}`))
})

t.test('a seed can be followed effect by effect', async (t) => {
  const { code, stderr } = await simulate('--seed 1 --trace')
  t.equal(code, 0)
  t.match(stderr, /^\d+\.\d+ gateway persist/m)
})

t.test('a fault that no seed met fails the run, once there were enough', async (t) => {
  const kind = { ...FLEETS.small, mustHappen: ['fault-cut', 'gap'], seedsForAll: 2 }
  const totals = new SeedTotals(kind)
  totals.add({ seeds: 1, counts: { 'fault-cut': 1, other: 2 }, failure: undefined })
  t.equal(totals.isProof, true, 'one is too few to ask')
  totals.add({ seeds: 1, counts: { 'fault-cut': 2 }, failure: undefined })
  t.equal(totals.isProof, false)
  t.ok(totals.lines.includes('never met: gap'))
  t.ok(totals.lines.includes('fault-cut 3'))
  totals.add({ seeds: 1, counts: { gap: 1 }, failure: undefined })
  t.equal(totals.isProof, true)
})

t.test('what is not understood is refused', async (t) => {
  for (const line of [
    '--fleet none',
    '--mutant none',
    '--seeds 0',
    '--seed x',
    '--trace',
    '--no',
  ]) {
    const { code, stderr } = await simulate(line)
    t.equal(code, 2, line)
    t.match(stderr, line.split(' ')[0]!)
  }
})
