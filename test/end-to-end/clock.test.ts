/** A board without a clock, which begins in 1970 at each start. */
import { join } from 'node:path'
import t from 'tap'
import { eventually, Fleet, PROGRAM, type Run } from '../support/processes.ts'
import { BASE, WireClient } from '../support/wire-client.ts'

const HOUR_MS = 3_600_000
/** Loaded before the program: the system's clock of such a board. */
const NO_CLOCK = `
  const realMs = Date.now
  const beganMs = realMs()
  Date.now = () => realMs() - beganMs + 12000
`

t.test(
  'its first telemetry goes by the gateway, and after a restart by the stored time',
  async (t) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway('--grid', '64x64', '--replicas', '1')
    const wire = await WireClient.connect(gateway.url, `${BASE}/node/a/telemetry/json`)
    t.teardown(() => wire.close())
    const begin = (): Run => {
      const flags = ['--import', `data:text/javascript,${encodeURIComponent(NO_CLOCK)}`]
      const argv = [
        'agent',
        '--id',
        'a',
        '--url',
        gateway.url,
        '--data',
        join(fleet.directory, 'a'),
      ]
      const all = [...flags, PROGRAM, ...argv, '--telemetry-interval', '1']
      return fleet.command(process.execPath, all)
    }
    const samples = (boot: number): Record<string, unknown>[] => {
      return wire.jsonOf('node/a/telemetry/json').filter(({ incarnation }) => incarnation === boot)
    }
    const isNow = (ts: unknown): boolean => Math.abs(Number(ts) - Date.now()) < HOUR_MS

    const beganMs = Date.now()
    const first = begin()
    await first.line('ready ')
    const heard = await eventually('two samples', () => samples(1).length >= 2 && samples(1))
    t.ok(isNow(heard.at(-1)!.ts), `ts ${heard.at(-1)!.ts}`)
    const offsetMs = Number(heard.at(-1)!.clock_offset_ms)
    t.ok(
      Math.abs(offsetMs - (Date.now() - 12_000)) < HOUR_MS,
      `the system is ${offsetMs} ms behind`,
    )
    t.match(await first.end('SIGTERM'), { code: 0 })

    const second = begin()
    await second.line('ready ')
    const [sample] = await eventually('a sample', () => samples(2).length > 0 && samples(2))
    t.ok(Number(sample!.ts) >= beganMs, `it does not begin in 1970 again: ${sample!.ts}`)
    t.ok(isNow(sample!.ts))
    t.match(await second.end('SIGTERM'), { code: 0 })
  },
)
