/**
 * Processor time of the gateway for one delivery of a message of 100 bytes, beside that of Aedes alone: both at once, in
 * turn, round by round.
 */
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { benchOptions } from './bench-options.ts'
import { cpuSecondsOf, NODE, withProcesses } from './bench-processes.ts'
import { judged, median, report } from './measure.ts'
import { Messenger } from './messenger.ts'
import { unitSetup } from './unit-command.ts'

const PLAIN = fileURLToPath(new URL('plain-aedes.js', import.meta.url))
/** In a round. */
const DELIVERIES = 40_000

const { flags } = benchOptions({ rounds: 9, 'gateway-flags': '="--cpu-prof"' } as const)

const KINDS = [
  { name: 'one to one, QoS 0', qos: 0, receivers: 1, goal: 1 },
  { name: 'one to one, QoS 1', qos: 1, receivers: 1, goal: 1 },
  { name: 'one to a hundred, QoS 0', qos: 0, receivers: 100, goal: 1 },
  { name: 'one to a hundred, QoS 1', qos: 1, receivers: 100, goal: 1 },
] as const

const microseconds = (seconds: number): string => `${(seconds * 1e6).toFixed(1)} µs`

async function measureKind(kind: (typeof KINDS)[number]): Promise<string[]> {
  return await withProcesses(async (processes) => {
    const { environment } = unitSetup('gateway')
    const argv = flags['gateway-flags']?.split(' ') ?? []
    const command = { ...NODE, argv, environment }
    const quiet = ['--grid', '64x64', '--log-level', 'error']
    const gateway = await processes.startGateway({ flags: quiet, command })
    const plain = await processes.start('plain', [PLAIN], { ...NODE, environment })
    const open = async (port: number, pid: number): Promise<Messenger> =>
      Messenger.connect({
        ...{ topic: 'bench/messages', qos: kind.qos, receivers: kind.receivers },
        open: () => connect({ port, host: '127.0.0.1', noDelay: true }),
        cpuSeconds: () => cpuSecondsOf(pid),
      })
    const messengers = [
      await open(gateway.port, gateway.pid),
      await open(Number(/port=(\d+)/.exec(plain.ready)![1]), plain.child.pid!),
    ]
    const each: number[][] = [[], []]
    for (let round = 0; round <= flags.rounds; round++) {
      for (const [which, messenger] of messengers.entries()) {
        const cpu = await messenger.round(Math.ceil(DELIVERIES / kind.receivers / 200) * 200)
        // The first is for the compiler.
        if (round > 0) each[which]!.push(cpu)
      }
    }
    const [own = 0, bare = 0] = each.map((one) => median(one))
    const ratio = own / bare
    const cells = [kind.name, microseconds(own), microseconds(bare), ratio.toFixed(2)]
    return [...cells, ...judged(ratio, kind.goal)]
  })
}

const rows = [['What', 'gateway', 'Aedes alone', 'gateway ÷ Aedes', 'Goal', 'Verdict']]
for (const kind of KINDS) rows.push(await measureKind(kind))
report(rows)
