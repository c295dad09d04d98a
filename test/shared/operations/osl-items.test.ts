/** Programs over records: what they return is what the tree of the text says of each record, however they were cut. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { FIELD_BYTES, formatFields } from '../../../shared/grid/fields.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { parseItemsProgram } from '../../../shared/operations/items-program.ts'
import type { Wire } from '../../../shared/operations/operation.ts'
import { oslItems } from '../../../shared/operations/osl-items.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import { checkSubmission } from '../../../shared/protocol/task.ts'
import type { Cells } from '../../support/osl-evaluator.ts'
import { faultOfOutputs } from '../../support/osl-outputs.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const PROGRAMS = Number(process.env.PROGRAMS ?? 1000)
t.comment(`SEED=${seed} PROGRAMS=${PROGRAMS} npx tap run test/shared/operations/osl-items.test.ts`)

const grid = {
  geometry: new Geometry({ width: 16, height: 16, tile: 8 }),
  fields: [{ name: 'elsewhere', type: 'f64' }] as const,
}
const LIMITS = { costMax: 1e12 }
const COLUMNS = formatFields(FIELDS)

function throughTheWire(wire: Wire): Wire {
  const decoded = decodeCbor(encodeCbor(wire), MESSAGE_LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as Wire
}

/** Of an odd place, as it may lie in a message. */
function packed(record: readonly number[]): Uint8Array {
  const length = FIELDS.reduce((sum, { type }) => sum + FIELD_BYTES[type], 0)
  const bytes = new Uint8Array(length + 1).subarray(1)
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  let at = 0
  for (const [index, { type }] of FIELDS.entries()) {
    const value = record[index]!
    if (type === 'u8') view.setUint8(at, value)
    else if (type === 'i32') view.setInt32(at, value, true)
    else if (type === 'f32') view.setFloat32(at, value, true)
    else view.setFloat64(at, value, true)
    at += FIELD_BYTES[type]
  }
  return bytes
}

/** Records have no place and no status. */
function withoutPlaces(source: string): string {
  const others: Record<string, string> = {
    ...{ x: 'e', y: 'a', status: 'c', argmin: 'min', argmax: 'max', random: 'floor' },
  }
  return source.replace(/\b(x|y|status|argmin|argmax|random)\b/g, (word) => others[word]!)
}

t.test('outputs are what the records one by one say', (t) => {
  const random = new Random(seed)
  let run = 0
  for (let index = 0; index < PROGRAMS; index++) {
    const writer = new ProgramWriter(random)
    const source = withoutPlaces(writer.read())
    const used = Object.entries(writer.parameters).filter(([name]) => source.includes(`$${name}`))
    const count = 1 + random.integer(random.integer(10) === 0 ? 700 : 30)
    const args = { source, columns: COLUMNS, with: Object.fromEntries(used) }
    const parsed = parseItemsProgram(args, count, grid, LIMITS)
    if (!parsed.ok) {
      const isMeant = parsed.problems.every(({ code, message }) => {
        return code.startsWith('osl-too-') || message.startsWith('top names a place')
      })
      if (isMeant) continue
      t.fail(parsed.problems[0]!.message, { source })
      break
    }
    run++
    const records = Array.from({ length: count }, () => FIELDS.map((field) => writer.cell(field)))
    const parts: number[][] = [[], [], []]
    for (let at = 0; at < count; at++) parts[random.integer(3)]!.push(at)
    const partials = parts
      .filter((part) => part.length > 0)
      .map((part) => {
        const asked = throughTheWire(parsed.value.args)
        const own = oslItems.run(asked)
        for (const at of part) own.visit(`k${at}`, packed(records[at]!))
        const partial = throughTheWire(own.finish())
        const keys = part.map((at) => `k${at}`)
        const fault = oslItems.faultOf(partial, keys, parsed.value.args)
        if (fault !== undefined) t.fail(fault, { source })
        if (oslItems.faultOf(partial, [...keys, 'more'], parsed.value.args) === undefined) {
          t.fail('a partial of other items is taken')
        }
        return partial
      })
    if (random.integer(2) === 0) partials.reverse()
    const value = oslItems.finish(partials.reduce(oslItems.merge), parsed.value.args)
    const inOrder = Object.fromEntries(
      Object.entries(value as object).map(([name, one]: [string, unknown]) => [
        name,
        one instanceof Map ? records.map((_, at) => one.get(`k${at}`)) : one,
      ]),
    )
    const columns = new Map(
      FIELDS.map(({ name }, field) => [name, records.map((record) => record[field]!)]),
    )
    const cells: Cells = { width: count, height: 1, fields: FIELDS, columns }
    const region = { x: 0, y: 0, w: count, h: 1 }
    const fault = faultOfOutputs(source, inOrder, cells, region, writer.parameters)
    if (fault !== undefined) {
      t.fail(`program ${index}: ${fault}`, { source })
      t.end()
      return
    }
  }
  t.ok(run > PROGRAMS / 4, `${run} of ${PROGRAMS} programs ran`)
  t.end()
})

const RECORD = 'amount:f64,nonce:i32'
const dataOf = (amount: number, nonce: number): Uint8Array => {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setFloat64(0, amount, true)
  view.setInt32(8, nonce, true)
  return bytes
}

t.test('transactions are judged, a verdict a key; a number that is none is missing', (t) => {
  const source =
    'let good = amount > 0 and amount <= $limit and nonce == 7; ' +
    'return ok = count(good); return sum = sum(amount) where good; ' +
    'show verdict = if good then 1 else 0'
  const items = [
    { key: 'b', data: dataOf(5, 7) },
    { key: '__proto__', data: dataOf(50, 7) },
    { key: 'a', data: dataOf(2.5, 7) },
    { key: 'c', data: dataOf(Number.NaN, 7) },
    { key: 'd', data: dataOf(5, 8) },
  ]
  const task = { op: 'program', items, args: { source, columns: RECORD, with: { limit: 10 } } }
  const result = checkSubmission(task, grid)
  if (!result.ok) throw new Error(result.problems[0]!.message)
  const { body } = result.submission
  t.match(body, { op: 'osl1-items', program: { as: 'program' } })
  const run = oslItems.run(body.args)
  for (const [at, key] of body.items!.keys.entries()) run.visit(key, body.items!.values[at]!)
  const value = oslItems.finish(run.finish(), body.args) as Record<string, unknown>
  t.strictSame([value.ok, value.sum], [2, 7.5])
  t.strictSame(
    [...(value.verdict as Map<string, number>)],
    [
      ['__proto__', 0],
      ['a', 1],
      ['b', 1],
      ['c', Number.NaN],
      ['d', 0],
    ],
  )
  t.end()
})

t.test('every problem of a program over items is named', (t) => {
  const items = [{ key: 'a', data: dataOf(1, 2) }]
  const sound = { source: 'return n = count(amount > 0)', columns: RECORD }
  const problemsOf = (change: object, args: object = {}): string[] => {
    const given = Object.entries({ ...sound, ...args }).filter(([, value]) => value !== undefined)
    const task = { op: 'program', items, args: Object.fromEntries(given), ...change }
    const result = checkSubmission(task, grid)
    return result.ok ? [] : result.problems.map(({ code, path }) => `${code} ${path}`)
  }
  t.strictSame(problemsOf({}), [])
  const region = { x: 0, y: 0, w: 1, h: 1 }
  t.strictSame(problemsOf({ region }), ['not-allowed region'])
  t.match(checkSubmission({ op: 'program', items, args: sound, region }, grid), {
    problems: [{ message: 'program runs over items, not over a region' }],
  })
  t.strictSame(problemsOf({ items: [] }), ['wrong-count items'])
  t.strictSame(problemsOf({ items: [...items, { key: 'b', data: 'text' }] }), [
    'wrong-count items[1].data',
  ])
  t.strictSame(problemsOf({ items: undefined }), ['unknown-key args.columns'])
  const cases: [change: object, problem: string][] = [
    [{ columns: undefined }, 'missing args.columns'],
    [{ columns: 7 }, 'wrong-type args.columns'],
    [{ columns: 'amount' }, 'malformed args.columns'],
    [{ columns: 'amount:f64,amount:u8' }, 'malformed args.columns'],
    [{ source: 'return n = count(elsewhere > 0)' }, 'osl-unknown-name args.source'],
    [{ source: 'amount = 1' }, 'not-allowed args'],
    [{ source: 'return n = sum(x)' }, 'not-allowed args'],
    [{ source: 'return n = sum(random(amount))' }, 'not-allowed args'],
    [{ source: 'return n = count(status == 1)' }, 'not-allowed args'],
    [{ source: 'return n = argmax(amount)' }, 'not-allowed args'],
    [{ source: 'return n = top(amount, 3)' }, 'not-allowed args'],
    [{ with: { limit: 1 } }, 'unknown-key args.with.limit'],
    [{ ids: [1] }, 'unknown-key args.ids'],
  ]
  for (const [change, problem] of cases) {
    t.strictSame(problemsOf({}, change), [problem], JSON.stringify(change))
  }
  t.end()
})

t.test('a node refuses what is no program over records', (t) => {
  const parsed = parseItemsProgram(
    { source: 'return n = sum(a)', columns: COLUMNS },
    1,
    grid,
    LIMITS,
  )
  if (!parsed.ok) throw new Error(parsed.problems[0]!.message)
  const { args } = parsed.value
  t.ok(oslItems.run(args))
  t.throws(() => oslItems.run({ ...args, record: 'a' }), /unknown type/)
  t.throws(() => oslItems.run({ ...args, record: undefined }), /unknown type/)
  t.throws(() => oslItems.run({ ...args, code: new Uint8Array(8) }), /no glyph 0/)
  t.throws(() => oslItems.run(args).visit('a', new Uint8Array(3)), /has 3 bytes/)
  t.end()
})
