import t from 'tap'
import { setupOf, unitSetup } from '../../scripts/bench/unit-command.ts'

t.test('flags and variables are those of the unit', async (t) => {
  const unit = [
    '[Service]',
    'ExecStart=/usr/bin/node --one --two=2 /usr/lib/agent.mjs --not-of-node',
    'Environment=A=1 B_=two',
    'EnvironmentFile=-/etc/default/agent',
    'Environment=C=3',
  ].join('\n')
  t.same(setupOf(unit), {
    flags: ['--one', '--two=2'],
    environment: { A: '1', B_: 'two', C: '3' },
  })
})

t.test('a unit that starts no program is refused', async (t) => {
  t.throws(() => setupOf('[Service]\nExecStart=/usr/bin/node --one\n'), /no ExecStart=/)
})

t.test('the unit of this checkout bounds the heap', async (t) => {
  const { flags, environment } = unitSetup('agent')
  t.ok(flags.some((flag) => flag.startsWith('--max-old-space-size=')))
  t.ok(Number(environment.MALLOC_TRIM_THRESHOLD_) > 0)
})
