/** Commands whose output goes into a pipe that nobody reads, or that is closed. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { eventually, Fleet, PROGRAM, type Run, within } from '../support/processes.ts'
import { WireClient } from '../support/wire-client.ts'

const MIB = 1024 * 1024
const MESSAGE = Buffer.alloc(MIB / 4, 'x')
const MESSAGES = 1024
/** What V8 has not given back yet of what has come and gone. */
const SLACK = 128 * MIB

const fleet = new Fleet(t)
const gateway = await fleet.gateway('--grid', '32x32')
let pipes = 0

/** A subscription that prints into a pipe, of which it is known that it goes on. */
async function subscription(wire: WireClient): Promise<{ sub: Run; pipe: number }> {
  const path = join(fleet.directory, `pipe-${++pipes}`)
  execFileSync('mkfifo', [path])
  const pipe = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const argv = [PROGRAM, 'sub', 'load/#', '--url', gateway.url]
  const into = ['-c', 'exec "$@" > "$0"', path, process.execPath, ...argv]
  const sub = fleet.command('sh', into)
  await eventually('it prints', async () => {
    await wire.client.publishAsync('load/first', 'there', { qos: 1 })
    return readNow(pipe).includes('load/first')
  })
  return { sub, pipe }
}

function readNow(pipe: number): string {
  const buffer = Buffer.alloc(64 * 1024)
  try {
    return buffer.toString('utf8', 0, readSync(pipe, buffer))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    return ''
  }
}

function figureOf(run: Run, file: string, name: string): number {
  const text = readFileSync(`/proc/${run.pid}/${file}`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)![1])
}

async function publisher(t: Test): Promise<WireClient> {
  const wire = await WireClient.connect(gateway.url)
  t.teardown(() => wire.client.endAsync(true))
  return wire
}

t.test('a subscription whose reader stops takes no memory for it, and can be ended', async (t) => {
  const wire = await publisher(t)
  const { sub, pipe } = await subscription(wire)
  t.teardown(() => closeSync(pipe))
  const peak = (): number => 1024 * figureOf(sub, 'status', 'VmHWM')
  const before = peak()
  for (let sent = 0; sent < MESSAGES; sent++) {
    await wire.client.publishAsync('load/big', MESSAGE, { qos: 1 })
    // The gateway is not to have it for too slow.
    const come = sent * MESSAGE.length
    await eventually('it has come', () => figureOf(sub, 'io', 'rchar') > come)
  }
  const grown = peak() - before
  t.comment(`${Math.round(grown / MIB)} MiB more, of ${(MESSAGES * MESSAGE.length) / MIB}`)
  t.ok(grown < SLACK, `${grown} bytes`)
  t.same(await sub.end('SIGINT'), { code: 130, signal: null })
  t.match(sub.stderr, /^left out, as they were not read in time: \d{3} messages\n$/)
})

t.test('whoever closes the pipe has had enough: it ends quietly', async (t) => {
  const wire = await publisher(t)
  const { sub, pipe } = await subscription(wire)
  closeSync(pipe)
  await eventually('it ends', async () => {
    await wire.client.publishAsync('load/more', 'more', { qos: 1 })
    return sub.hasExited
  })
  t.same(await sub.exited, { code: 0, signal: null })
  t.equal(sub.stderr, '')
})

t.test('a command that nobody listens to ends as it would', async (t) => {
  const said = join(fleet.directory, 'code')
  const script =
    '{ "$@"; echo $? > "$0"; } 2>&1 | sh -c "exec 0<&-; while ! test -s $0; do :; done"'
  const argv = [process.execPath, PROGRAM, 'nonsense']
  const run = fleet.command('sh', ['-c', script, said, ...argv])
  await within('its end', run.exited)
  t.equal(readFileSync(said, 'utf8'), '2\n')
})
