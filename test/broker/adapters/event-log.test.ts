import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EventLog } from '../../../broker/adapters/event-log.ts'
import type { Logger } from '../../../shared/runtime/logger.ts'
import { eventually } from '../../support/processes.ts'
import { SmallDisk } from '../../support/small-disk.ts'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

interface Line {
  ts: number
  code: string
  level: string
  message: string
  number?: number
  events?: number
}

function linesOf(path: string): Line[] {
  const text = readFileSync(path, 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
}

function notice(number: number, message = 'something happened') {
  return { level: 'info' as const, code: 'test-event', message, fields: { number } }
}

t.test('each notice is a line, in order', async (t) => {
  const directory = join(t.testdir(), 'made', 'on demand')
  const log = await EventLog.open({ directory }, silent)
  for (let number = 0; number < 1000; number++) log.append(number, notice(number, 'a\nb "c"'))
  await log.close()
  const lines = linesOf(join(directory, 'events.jsonl'))
  t.equal(lines.length, 1000)
  t.same(lines[7], { ts: 7, level: 'info', code: 'test-event', message: 'a\nb "c"', number: 7 })
  t.ok(lines.every((line, index) => line.number === index))
  t.equal(log.dropped, 0)
})

t.test('what was written before stays, also when its last line was cut', async (t) => {
  const directory = t.testdir({ 'events.jsonl': '{"code":"first","number":0}\n{"code":"cu' })
  const log = await EventLog.open({ directory }, silent)
  log.append(1, notice(1))
  await log.close()
  const text = readFileSync(join(directory, 'events.jsonl'), 'utf8').split('\n')
  t.equal(text.length, 4)
  t.equal(text[1], '{"code":"cu')
  t.match(JSON.parse(text[2]!), { number: 1 })
  const again = await EventLog.open({ directory }, silent)
  again.append(2, notice(2))
  await again.close()
  t.equal(readFileSync(join(directory, 'events.jsonl'), 'utf8').split('\n').length, 5)
})

t.test('files are put aside before they pass their size, and the oldest go', async (t) => {
  const directory = t.testdir()
  const fileBytesMax = 2000
  const log = await EventLog.open({ directory, fileBytesMax, filesKept: 3 }, silent)
  for (let number = 0; number < 200; number++) log.append(number, notice(number))
  await log.close()
  const files = readdirSync(directory).sort()
  t.same(files, ['events.jsonl', 'events.jsonl.1', 'events.jsonl.2', 'events.jsonl.3'])
  for (const file of files) t.ok(statSync(join(directory, file)).size <= fileBytesMax, file)
  const kept = [3, 2, 1].flatMap((number) => linesOf(join(directory, `events.jsonl.${number}`)))
  const numbers = [...kept, ...linesOf(join(directory, 'events.jsonl'))].map((line) => line.number!)
  t.equal(numbers.at(-1), 199)
  t.ok(
    numbers.every((number, index) => index === 0 || number === numbers[index - 1]! + 1),
    'nothing is missing between the files',
  )
})

t.test('a line longer than a file is written all the same', async (t) => {
  const directory = t.testdir()
  const log = await EventLog.open({ directory, fileBytesMax: 100, filesKept: 2 }, silent)
  log.append(1, notice(1, 'x'.repeat(500)))
  log.append(2, notice(2, 'y'.repeat(500)))
  await log.close()
  t.match(linesOf(join(directory, 'events.jsonl.1')), [{ number: 1 }])
  t.match(linesOf(join(directory, 'events.jsonl')), [{ number: 2 }])
})

t.test('what a slow disk does not take is dropped, counted and said', async (t) => {
  const directory = t.testdir()
  const log = await EventLog.open({ directory, waitingBytesMax: 10_000 }, silent)
  // Everything within one turn: the disk has no chance to take anything.
  const sent = 5000
  for (let number = 0; number < sent; number++) log.append(number, notice(number))
  const dropped = log.dropped
  t.ok(dropped > 0)
  await log.close()
  const lines = linesOf(join(directory, 'events.jsonl'))
  const written = lines.filter((line) => line.code === 'test-event').length
  t.equal(written + dropped, sent)
  t.match(
    lines.filter((line) => line.code === 'events-dropped'),
    [{ level: 'warn', events: dropped }],
  )
})

t.test('a disk that fails is said once, and costs events, not the process', async (t) => {
  const directory = t.testdir()
  const complaints: string[] = []
  const log: Logger = { ...silent, error: (_fields, message) => complaints.push(message) }
  const events = await EventLog.open({ directory, fileBytesMax: 300, filesKept: 1 }, log)
  // The place for the rotated file is taken by a directory that cannot be removed as a file.
  mkdirSync(join(directory, 'events.jsonl.1'))
  writeFileSync(join(directory, 'events.jsonl.1', 'inside'), '')
  for (let number = 0; number < 50; number++) events.append(number, notice(number))
  await events.close()
  t.same(complaints, ['the event log cannot be written'])
  t.ok(events.dropped > 0)
  const written = linesOf(join(directory, 'events.jsonl')).length
  t.equal(written + events.dropped, 50)
})

/** How many files this process may have open: `undefined` where that cannot be set. */
function limitFiles(count?: number): number | undefined {
  const limit = ['--pid', String(process.pid), `--nofile${count === undefined ? '' : `=${count}:`}`]
  const { status, stdout } = spawnSync('prlimit', [
    ...limit,
    '--raw',
    '--noheadings',
    '--output=SOFT',
  ])
  return status === 0 ? Number(stdout) : undefined
}

t.test('a file that cannot be put aside costs none of those that were', async (t) => {
  const allowed = limitFiles()
  if (allowed === undefined) return t.pass('prlimit is missing', { skip: 'prlimit is missing' })
  const directory = t.testdir()
  const complaints: string[] = []
  const log: Logger = { ...silent, error: (_fields, message) => complaints.push(message) }
  const options = { directory, fileBytesMax: 2000, filesKept: 3 }
  const first = await EventLog.open(options, log)
  let number = 0
  for (; number < 120; number++) first.append(number, notice(number))
  await first.close()
  const numbers = (): number[] => {
    const names = ['.3', '.2', '.1', ''].map((end) => join(directory, `events.jsonl${end}`))
    return names.flatMap((name) => linesOf(name).map((line) => line.number!))
  }
  const before = numbers()
  const events = await EventLog.open(options, log)
  const files = [openSync('/dev/null', 'r')]
  limitFiles(files[0]! + 64)
  t.throws(() => {
    for (;;) files.push(openSync('/dev/null', 'r'))
  }, /EMFILE/)
  // Each of these tries again: more often than there are files.
  for (const count = number + 40; number < count; number++) {
    events.append(number, notice(number))
    await new Promise(setImmediate)
  }
  await eventually('it fails', async () => complaints.length > 0)
  for (const file of files) closeSync(file)
  limitFiles(allowed)
  t.same(complaints, ['the event log cannot be written'])
  t.same(numbers().slice(0, before.length), before, 'all that was there still is')
  events.append(number, notice(number))
  await events.close()
  const after = numbers()
  t.equal(after.at(-1), number, 'and what waited is written once there are files again')
  t.ok(after.every((value, index) => index === 0 || value === after[index - 1]! + 1))
  t.equal(events.dropped, 0)
  t.equal(readdirSync(directory).length, 4)
})

t.test('a rotation that was cut off at any step goes on where it stood', async (t) => {
  const line = (number: number): string => `${JSON.stringify({ number })}\n`
  const states: Record<string, Record<string, string>> = {
    'the next file was made': { '': line(3), '.1': line(2), '.2': line(1), '.next': '' },
    'a number was freed': { '': line(3), '.1': line(2), '.3': line(1), '.next': '' },
    'it was put aside': { '.1': line(3), '.2': line(2), '.3': line(1), '.next': '' },
  }
  for (const [name, state] of Object.entries(states)) {
    const files = Object.entries(state).map(([end, text]) => [`events.jsonl${end}`, text])
    const directory = t.testdir({ [name]: Object.fromEntries(files) })
    const options = { directory: join(directory, name), fileBytesMax: 20, filesKept: 3 }
    const events = await EventLog.open(options, silent)
    events.append(4, notice(4))
    await events.close()
    const found = ['.3', '.2', '.1', ''].flatMap((end) =>
      linesOf(join(directory, name, `events.jsonl${end}`)).map(({ number }) => number),
    )
    t.same(found, [1, 2, 3, 4], name)
  }
})

t.test('after a full disk no line is joined to the rest of another', async (t) => {
  const disk = SmallDisk.mount(t, 1)
  if (disk === undefined) return
  const complaints: string[] = []
  const log: Logger = { ...silent, error: (_fields, message) => complaints.push(message) }
  const events = await EventLog.open({ directory: disk.path }, log)
  disk.fillUpTo(8192)
  let number = 0
  // A line of 3,000 bytes ends within a page: a part of one is taken.
  await eventually('the disk is full', async () => {
    events.append(number, notice(number, 'x'.repeat(3000)))
    number += 1
    return complaints.length > 0
  })
  for (const count = number + 5; number < count; number++) events.append(number, notice(number))
  const path = join(disk.path, 'events.jsonl')
  await eventually('nothing is left of what failed', () =>
    readFileSync(path, 'utf8').endsWith('\n'),
  )
  disk.empty()
  events.append(number, notice(number))
  await events.close()
  t.same(
    linesOf(path).map((line) => line.number),
    Array.from({ length: number + 1 }, (_, index) => index),
    'each is there once it can be written',
  )
  t.same(complaints, ['the event log cannot be written'])
})

t.test('after the close nothing is taken', async (t) => {
  const directory = t.testdir()
  const log = await EventLog.open({ directory }, silent)
  await log.close()
  log.append(1, notice(1))
  await log.close()
  t.equal(log.dropped, 1)
})
