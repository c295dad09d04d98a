import t from 'tap'
import { LogMemory } from '../../../firmware-agent/adapters/log-memory.ts'
import { LOG_LINES_MAX } from '../../../shared/protocol/log-line.ts'
import { LOG_PIECE_BYTES_MAX, type LogLines } from '../../../shared/protocol/log-messages.ts'
import { createLineLogger, type LogLevel } from '../../../shared/runtime/logger.ts'

const PROCESS = 'p1'
const ORDER = { t: 'log', ask: 7, lines: LOG_LINES_MAX, level: 'debug' } as const

function linesIn({ lines }: LogLines): { readonly msg: string; readonly [key: string]: unknown }[] {
  const text = Buffer.from(lines).toString()
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

const messagesIn = (lines: LogLines): string[] => linesIn(lines).map(({ msg }) => msg)

function memoryOf(count: number, levelOf: (n: number) => LogLevel = () => 'info'): LogMemory {
  const memory = new LogMemory()
  for (let n = 0; n < count; n++) memory.add(levelOf(n), `{"msg":"${n}"}\n`)
  return memory
}

t.test('the last lines of a level are given, the oldest first', async (t) => {
  const memory = memoryOf(10, (n) => (n % 3 === 0 ? 'warn' : 'info'))
  const last = memory.answer(PROCESS, { ...ORDER, lines: 2 })
  t.match(last, { t: 'log-lines', ask: 7, next: 'p1-10', left: 0, unread: 0 })
  t.same(messagesIn(last), ['8', '9'])
  const level = 'warn'
  t.same(messagesIn(memory.answer(PROCESS, { ...ORDER, level })), ['0', '3', '6', '9'])
  t.same(messagesIn(memory.answer(PROCESS, { ...ORDER, level, lines: 3 })), ['3', '6', '9'])
  t.same(messagesIn(memory.answer(PROCESS, { ...ORDER, level: 'error' })), [])
  t.same(messagesIn(new LogMemory().answer(PROCESS, ORDER)), [])
})

t.test('a reader goes on where he stood, and hears how many he missed', async (t) => {
  const memory = memoryOf(30)
  const first = memory.answer(PROCESS, { ...ORDER, lines: 5, after: 'p1-20' })
  t.same(messagesIn(first), ['20', '21', '22', '23', '24'])
  t.match(first, { next: 'p1-25', left: 0, unread: 5 })
  for (let n = 30; n < 600; n++) memory.add('info', `{"msg":"${n}"}\n`)
  const second = memory.answer(PROCESS, { ...ORDER, lines: 1, after: first.next })
  t.same(messagesIn(second), ['100'], 'the oldest of 500')
  t.match(second, { next: 'p1-101', left: 75, unread: 499 })
  const other = memoryOf(2).answer('p2', { ...ORDER, after: second.next })
  t.same(messagesIn(other), ['0', '1'], 'another process begins anew')
  t.match(memory.answer(PROCESS, { ...ORDER, after: 'p1-x' }), { next: /^p1-\d+$/ })
})

t.test('pieces are bounded, and together they are the whole', async (t) => {
  const memory = new LogMemory()
  const write = (n: number): string => `{"msg":"${n}","pad":"${'ü'.repeat(n % 400)}"}\n`
  for (let n = 0; n < 3000; n++) memory.add('info', write(n))
  const all: string[] = []
  let bytes = 0
  let piece = memory.answer(PROCESS, { ...ORDER, after: 'p1-0' })
  const { left } = piece
  for (;;) {
    t.ok(piece.lines.length <= LOG_PIECE_BYTES_MAX, `${piece.lines.length}`)
    bytes += piece.lines.length
    all.push(...messagesIn(piece))
    if (piece.unread === 0) break
    piece = memory.answer(PROCESS, { ...ORDER, after: piece.next })
  }
  t.same(
    all,
    Array.from({ length: 3000 - left }, (_, n) => `${left + n}`),
  )
  t.ok(bytes > 60 * 1024 && bytes <= 64 * 1024, `${bytes} bytes`)
})

t.test('whatever the logger writes is kept as JSON, a long line cut', async (t) => {
  const memory = new LogMemory()
  let written = ''
  const log = createLineLogger({
    ...{ name: 'agent', level: 'info', format: 'human', now: () => 5 },
    write: (line) => (written += line),
    kept: (level, line) => memory.add(level, line),
  })
  log.debug({}, 'not logged, not kept')
  log.warn({ code: 'x'.repeat(5000), stack: 'y'.repeat(9000) }, '\u0001'.repeat(9000))
  log.error({ code: 'disk-full' }, 'no room')
  const [cut, whole] = linesIn(memory.answer(PROCESS, ORDER))
  t.match(cut, { level: 40, time: 5, name: 'agent', code: 'x'.repeat(64), cut: Number })
  t.equal(cut!.msg, '\u0001'.repeat(512))
  t.strictSame(whole, { level: 50, time: 5, name: 'agent', code: 'disk-full', msg: 'no room' })
  t.match(written, /error no room code=disk-full\n$/)
})
