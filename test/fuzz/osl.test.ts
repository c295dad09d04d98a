/**
 * Programs from anybody: mutated code is refused, or runs without harm; random text compiles, or is refused with a place
 * inside it, in bounded time.
 */
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { GLYPHS } from '../../shared/osl/codex.ts'
import { compile } from '../../shared/osl/compiler.ts'
import { Interpreter } from '../../shared/osl/interpreter.ts'
import { placeOf } from '../../shared/osl/osl-problems.ts'
import type { Program } from '../../shared/osl/program.ts'
import { verify } from '../../shared/osl/verifier.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env.RUNS ?? 12_000)
t.comment(`SEED=${seed} npx tap run test/fuzz/osl.test.ts`)

/** CPU time: the dearest takes some tens of ms. */
const INPUT_MS_MAX = 4000
const GRID = { fields: FIELDS, width: 40 }
const WINDOW = { tile: 0, stride: 8, left: 0, top: 0, w: 8, h: 8 }

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function programs(random: Random, count: number): Program[] {
  const made: Program[] = []
  while (made.length < count) {
    const writer = new ProgramWriter(random, { reach: 2 })
    const result = compile(random.integer(2) === 0 ? writer.write() : writer.read(), GRID)
    if (result.ok) made.push(result.compiled.program)
  }
  return made
}

/** A byte of a microglyph, and what it is to be: mostly what may stand there. */
function drawChange(random: Random): [slot: number, value: number] {
  const slot = [0, 2, 3, 4, 5, 6, 1, 7][random.integer(random.integer(6) === 0 ? 8 : 6)]!
  if (random.integer(8) === 0) return [slot, random.integer(256)]
  if (slot === 0) return [slot, GLYPHS[random.integer(GLYPHS.length)]!.number]
  return [slot, slot === 6 ? random.integer(4) : [0, 64][random.integer(2)]! + random.integer(5)]
}

t.test('mutated code is refused, or every cell stays finite', (t) => {
  const random = new Random(seed)
  const all = programs(random, 60)
  let [accepted, refused] = [0, 0]
  for (let run = 0; run < RUNS; run++) {
    const program = all[random.integer(all.length)]!
    const code = program.code.slice()
    for (let times = 1 + random.integer(3); times > 0; times--) {
      const at = 8 * random.integer(code.length / 8)
      const [slot, value] = drawChange(random)
      code[at + slot] = value
    }
    const pool = program.pool.slice()
    if (random.integer(4) === 0)
      pool[random.integer(pool.length)] = [0, 3, 1e308, -5][random.integer(4)]!
    const mutated = { ...program, code, pool }
    const sound = verify(mutated, FIELDS.length)
    if (!sound.ok) {
      refused++
      continue
    }
    accepted++
    const page = TilePage.empty(createLayout(FIELDS, 64))
    for (let field = 0; field < FIELDS.length; field++) {
      const column = page.column(field)
      for (let at = 0; at < 64; at++) column[at] = random.integer(400) - 200
    }
    const around = Float64Array.from({ length: 16 * 16 }, () => random.integer(9))
    const near = { x: -4, y: -4, stride: 16, numbersOf: () => around }
    const interpreter = new Interpreter(mutated, sound, FIELDS, near)
    interpreter.run(page, WINDOW, { x: 0, y: 0, gridWidth: 40 })
    for (let field = 0; field <= FIELDS.length; field++) {
      const column = page.column(field)
      const isSound = column.every(
        (value: number) => Number.isFinite(value) && !Object.is(value, -0),
      )
      if (!isSound) t.fail('a cell that is not finite', { code: Buffer.from(code).toString('hex') })
    }
  }
  t.ok(accepted > RUNS / 50 && refused > RUNS / 50, `${accepted} accepted, ${refused} refused`)
  t.end()
})

const WORDS = [
  ...[
    'a',
    'b',
    'c',
    'nope',
    'x',
    'status',
    '$q',
    'field.a',
    '3',
    '0.5',
    '1e400',
    '1__2',
    '0x',
    '-9999',
  ],
  ...[
    '=',
    '==',
    '+',
    '-',
    '*',
    '/',
    '%',
    '^',
    '(',
    ')',
    '[',
    ']',
    ',',
    '<',
    '>=',
    '!=',
    ';',
    '\n',
    '#',
    '.',
    '$',
  ],
  ...[
    'let',
    'def',
    'table',
    'nodata',
    'where',
    'return',
    'show',
    'by',
    'if',
    'then',
    'else',
    'and',
    'or',
    'not',
  ],
  ...[
    'true',
    'mean',
    'count',
    'histogram',
    'top',
    'sqrt',
    'look',
    'min',
    'pick',
    'random',
    '"',
    '\\',
    '\u0000',
    '\ud83d',
    '😀',
  ],
  ...GLYPHS.map(({ sign }) => sign),
]

function randomText(random: Random, writer: ProgramWriter): string {
  if (random.integer(3) > 0) {
    return Array.from({ length: 1 + random.integer(30) }, () => writer.pick(WORDS)).join(
      random.integer(2) === 0 ? ' ' : '',
    )
  }
  const source = random.integer(2) === 0 ? writer.write() : writer.read()
  const at = random.integer(source.length)
  const cut = source.slice(at + random.integer(8))
  return `${source.slice(0, at)}${writer.pick(WORDS)}${cut}`
}

t.test('text is compiled, or refused with places inside it', (t) => {
  const random = new Random(seed)
  const writer = new ProgramWriter(random, { reach: 2 })
  let compiled = 0
  for (let run = 0; run < RUNS; run++) {
    const source = randomText(random, writer)
    const before = cpuMs()
    const result = compile(source, GRID)
    if (cpuMs() - before > INPUT_MS_MAX) t.fail('it took too long', { source })
    if (result.ok) {
      compiled++
      const verdict = verify(result.compiled.program, FIELDS.length)
      const isUnbound = result.compiled.parameters.size > 0
      if (!verdict.ok && !isUnbound && !verdict.message.startsWith('it costs'))
        t.fail(verdict.message, { source })
      continue
    }
    if (result.problems.length === 0) t.fail('refused without a word', { source })
    for (const { message, span } of result.problems) {
      const isInside = span.at >= 0 && span.at <= source.length && span.length >= 0
      if (!isInside || message === '' || message.length > 300) t.fail(message, { source, span })
      placeOf(source, span)
    }
  }
  t.ok(compiled > RUNS / 300 && compiled < RUNS, `${compiled} of ${RUNS} compiled`)
  t.end()
})
