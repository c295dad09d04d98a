import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EventLog } from '../../../broker/adapters/event-log.ts'
import type { Logger } from '../../../shared/runtime/logger.ts'

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

t.test('after the close nothing is taken', async (t) => {
  const directory = t.testdir()
  const log = await EventLog.open({ directory }, silent)
  await log.close()
  log.append(1, notice(1))
  await log.close()
  t.equal(log.dropped, 1)
})
