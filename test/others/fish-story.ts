/** What fish offers for a line. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { completionBench, completionOf } from './completion-bench.ts'

t.setTimeout(300_000)

const LINES: Readonly<Record<string, readonly string[]>> = {
  'obelisk nod': ['node'],
  'obelisk node dr': ['drain'],
  'obelisk node drain --un': ['--undo'],
  'obelisk node drain edge': ['edge-1', 'edge-2'],
  'obelisk task state x': [],
  'obelisk task submit --file so': ['some.npy'],
  'obelisk task ls --limit ': [],
  'obelisk task submit sta': ['stat'],
  'obelisk gateway --http-p': ['--http-port'],
  'obelisk completion b': ['bash'],
}

t.test('fish offers what fits, and says nothing besides', async (t) => {
  const { folder, env } = completionBench(t, { 'obelisk.fish': await completionOf('fish') })
  for (const [line, expected] of Object.entries(LINES)) {
    const program = `source obelisk.fish; complete -C '${line}'`
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', program], {
      ...{ cwd: folder, env, encoding: 'utf8' },
    })
    t.equal(stderr, '', line)
    const offered = stdout.split('\n').filter((one) => one !== '')
    t.same(
      offered.map((one) => one.split('\t')[0]),
      expected,
      line,
    )
  }
})
