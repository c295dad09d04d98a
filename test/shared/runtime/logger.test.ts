import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import {
  createLineLogger,
  type LogFormat,
  type Logger,
  type LogLevel,
  logFormatFor,
} from '../../../shared/runtime/logger.ts'

function logInto(format: LogFormat, level: LogLevel = 'debug') {
  const lines: string[] = []
  const write = (line: string): void => {
    lines.push(line)
  }
  const log = createLineLogger({
    name: 'agent',
    level,
    format,
    write,
    now: () => 1_700_000_000_000,
  })
  return { lines, log }
}

t.test('JSON lines have the members that pino writes', async (t) => {
  const { lines, log } = logInto('json')
  log.info({ node: 'pi-1', bytes: Uint8Array.from([1, 2]) }, 'joined\nnow')
  t.match(lines[0], /^[^\n]*\n$/)
  const record = JSON.parse(lines[0]!)
  t.same(record, {
    level: 30,
    time: 1_700_000_000_000,
    name: 'agent',
    node: 'pi-1',
    bytes: '2 bytes',
    msg: 'joined\nnow',
  })
  let written = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written += chunk
      done()
    },
  })
  const other: Logger = pino({ name: 'agent' }, stream)
  other.info({ node: 'pi-1' }, 'joined')
  const { pid, hostname, ...rest } = JSON.parse(written)
  t.same(Object.keys(rest), ['level', 'time', 'name', 'node', 'msg'])
})

t.test('errors keep their code, words and cause', async (t) => {
  const { lines, log } = logInto('json')
  const cause = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  log.error({ err: new Error('not written', { cause }) }, 'failed')
  t.match(JSON.parse(lines[0]!), {
    level: 50,
    err: {
      type: 'Error',
      message: 'not written',
      stack: /logger\.test/,
      cause: { code: 'ENOSPC' },
    },
  })
})

t.test('what cannot be written as JSON is said, not thrown', async (t) => {
  const { lines, log } = logInto('json')
  const circle: { self?: unknown } = {}
  circle.self = circle
  log.warn(circle, 'round')
  log.warn({ big: 2n ** 70n }, 'big')
  t.match(JSON.parse(lines[0]!), { msg: 'round', unloggable: /circular/i })
  t.match(JSON.parse(lines[1]!), { big: '1180591620717411303424' })
})

t.test('less than the level is left out', async (t) => {
  const { lines, log } = logInto('json', 'warn')
  log.debug({}, 'a')
  log.info({}, 'b')
  log.warn({}, 'c')
  log.error({}, 'd')
  t.same(
    lines.map((line) => JSON.parse(line).msg),
    ['c', 'd'],
  )
})

t.test('the journal gets the priority in front', async (t) => {
  const { lines, log } = logInto('journal')
  log.debug({}, 'a')
  log.info({}, 'a')
  log.warn({}, 'a')
  log.error({}, 'a')
  t.same(
    lines.map((line) => line.slice(0, 4)),
    ['<7>{', '<6>{', '<4>{', '<3>{'],
  )
})

t.test('a person gets a short line, and no control characters', async (t) => {
  const { lines, log } = logInto('human')
  log.warn({ node: 'pi-1', text: 'a b', error: new Error('x\u001b[2J'), list: [1] }, 'odd\u001b[2J')
  t.match(
    lines[0],
    /^\d\d:\d\d:\d\d warn {2}odd \[2J node=pi-1 text="a b" error=x \[2J list=\[1\]\n$/,
  )
})

t.test('the format follows where the lines go', async (t) => {
  t.equal(logFormatFor({ JOURNAL_STREAM: '8:1' }, { isTTY: true }), 'journal')
  t.equal(logFormatFor({}, { isTTY: true }), 'human')
  t.equal(logFormatFor({}, {}), 'json')
})
