/** What zsh makes of a line when Tab is pressed, in a terminal of its own. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { completionBench, completionOf } from './completion-bench.ts'

t.setTimeout(300_000)

/** Types its argument, and Enter, into a shell that was started with the lines of `start`. */
const TYPED = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell '. ./start; echo rea""dy'
zpty -r shell said '*ready*'
zpty -w -n shell "$1"$'\\n'
zpty -w shell 'echo do""ne'
zpty -r shell said '*done*'
zpty -d shell
`
/** As the page of operations has it for a startup file, and as a Debian package installs it. */
const STARTS = {
  sourced: 'autoload -U compinit; compinit -u -D; . ./_obelisk',
  installed: 'fpath=($PWD $fpath); autoload -U compinit; compinit -u -D',
}
const LINES = {
  'obelisk nod\\tdra\\tedge-1': 'node drain edge-1',
  'obelisk node drain edge-2 --un\\t': 'node drain edge-2 --undo',
  'obelisk node drain only\\t': 'node drain only-one',
  'obelisk task submit --file so\\t': 'task submit --file some.npy',
  'obelisk task submit sta\\t': 'task submit stat',
  'obelisk gateway --http-p\\t': 'gateway --http-port',
}

for (const [how, start] of Object.entries(STARTS)) {
  t.test(`zsh completes commands, options, ids and files: ${how}`, async (t) => {
    const { folder, ran, env } = completionBench(t, {
      ...{ typed: TYPED, start },
      _obelisk: await completionOf('zsh'),
    })
    for (const [line, expected] of Object.entries(LINES)) {
      const keys = line.replaceAll('\\t', '\t')
      const { status, stderr } = spawnSync('zsh', ['-f', join(folder, 'typed'), keys], {
        ...{ cwd: folder, env, encoding: 'utf8', timeout: 60_000 },
      })
      t.equal(status, 0, stderr)
      t.equal(readFileSync(ran, 'utf8').trim(), expected, line)
    }
  })
}
