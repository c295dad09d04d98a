import t from 'tap'
import { SecurityChain, type SecurityFault } from '../../../shared/protocol/security-chain.ts'
import type { SecurityEventName } from '../../../shared/protocol/security-events.ts'
import {
  formatLine,
  hashOfLine,
  NO_HEAD,
  type SecurityHead,
} from '../../../shared/protocol/security-log.ts'

/** Lines that follow one another, from `after` on. */
function linesOf(events: readonly SecurityEventName[], after: SecurityHead = NO_HEAD): Buffer[] {
  let head = after
  return events.map((event) => {
    const line = Buffer.from(
      formatLine({ event, who: 'gateway', via: 'gateway' }, { ts: 7, count: 1, after: head }),
    )
    head = { seq: head.seq + 1, hash: hashOfLine(line) }
    return line
  })
}

function faultsOf(
  lines: readonly Buffer[],
  { expected, isCutFile = false }: { expected?: SecurityHead; isCutFile?: boolean } = {},
): string[] {
  const faults: SecurityFault[] = []
  const chain = new SecurityChain(expected, (fault) => faults.push(fault))
  for (const [index, line] of lines.entries()) {
    chain.take(line, { file: 'f', line: index + 1, isCutFile })
  }
  chain.end('f')
  return faults.map(({ kind, line, seq }) => `${kind} ${line ?? '-'} ${seq ?? '-'}`)
}

const LINES = linesOf(['log-begun', 'enrolled', 'login', 'locked', 'enrolled', 'login'])
const HEAD: SecurityHead = { seq: 6, hash: hashOfLine(LINES[5]!) }

t.test('a chain from its beginning to its head has no fault', (t) => {
  t.same(faultsOf(LINES, { expected: HEAD }), [])
  t.same(faultsOf([]), [])
  t.same(faultsOf(LINES.slice(0, 4), { expected: HEAD }), ['cut - 5'])
  t.same(faultsOf(LINES, { expected: { ...HEAD, seq: 3 } }), ['changed 3 3'])
  t.end()
})

t.test('a chain begins with the line that begins a log, or a file', (t) => {
  const later = linesOf(['log-continued', 'login'], HEAD)
  t.same(faultsOf(later, { isCutFile: true }), [])
  t.same(faultsOf(later), ['missing 1 7'], 'the files before it cannot have gone by themselves')
  t.same(faultsOf(later.slice(1), { isCutFile: true }), ['missing 1 8'])
  t.same(faultsOf(LINES.slice(1)), ['missing 1 2'])
  t.same(faultsOf(linesOf(['log-begun'], HEAD)), ['missing 1 7'])
  t.end()
})

t.test('each fault is one, and what follows is judged again', (t) => {
  const [a, b, c, d, e, f] = LINES as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer]
  const other = Buffer.from(c.toString().replace('"ts":7', '"ts":8'))
  t.same(faultsOf([a, b, other, d, e, f]), ['changed 3 3'])
  t.same(faultsOf([a, b, d, e, f]), ['missing 3 4'])
  t.same(faultsOf([a, e, f]), ['missing 2 5'])
  t.same(faultsOf([a, b, b, c, d]), ['reordered 3 2'])
  t.same(faultsOf([a, b, Buffer.from('{}'), d, e]), ['malformed 3 -'])
  t.same(faultsOf([a, b, Buffer.from('{}'), c, d]), ['malformed 3 -'], 'one more')
  t.same(faultsOf([a, b, Buffer.from('{}'), f]), ['malformed 3 -', 'missing 4 6'])
  t.end()
})

t.test('what the gateway found itself is told again', (t) => {
  const broken = { event: 'log-broken', who: 'gateway', via: 'gateway' } as const
  const line = (code: string): Buffer =>
    Buffer.from(formatLine({ ...broken, code }, { ts: 7, count: 1, after: HEAD }))
  t.same(faultsOf([...LINES, line('cut')]), ['told 7 7'])
  t.same(faultsOf([...LINES, line('changed')]), ['told 7 7'])
  t.same(faultsOf([...LINES, line('unwritable')]), [], 'a full disk is no fault of the log')
  t.end()
})
