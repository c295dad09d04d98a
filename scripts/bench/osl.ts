/**
 * The operation language: how fast text is parsed and microglyphs are verified, and what the interpreter takes beside
 * loops written by hand that do the same to the same tiles, in alternating rounds. Run it with the flags of the agent's
 * unit: `node $(…) dist/scripts/bench/osl.js`, as docs/performance.md has it.
 */
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import { type ReadOperation, type TileWindow, windowOf } from '../../shared/operations/operation.ts'
import { parseProgram } from '../../shared/operations/program.ts'
import { compile } from '../../shared/osl/compiler.ts'
import { Interpreter } from '../../shared/osl/interpreter.ts'
import { parse } from '../../shared/osl/parser.ts'
import type { Program } from '../../shared/osl/program.ts'
import { verify } from '../../shared/osl/verifier.ts'
import { formatMs, judged, measure, median, report } from './measure.ts'

const FIELDS = [
  { name: 'temp', type: 'f64' },
  { name: 'hum', type: 'f64' },
] as const
const geometry = new Geometry({ width: 160, height: 240, tile: 16 })
const context = { geometry, fields: FIELDS }
const TILES = geometry.tiles
const ROUNDS = 41
const COST_MAX = 5e10

type Loop = (temp: Float64Array, hum: Float64Array, cells: number) => void

/** A program, and the same by hand; `status` is 1 throughout. */
const WRITES: readonly (readonly [source: string, loop: Loop])[] = [
  [
    'temp = temp + 1.5',
    (temp, _hum, cells) => {
      for (let i = 0; i < cells; i++) temp[i] = temp[i]! + 1.5
    },
  ],
  [
    'temp = temp * 9 / 5 + 32 where hum > 40',
    (temp, hum, cells) => {
      for (let i = 0; i < cells; i++) if (hum[i]! > 40) temp[i] = (temp[i]! * 9) / 5 + 32
    },
  ],
  [
    'nodata hum -9999\ntemp = if hum > 50 then temp + 1 else temp - 1',
    (temp, hum, cells) => {
      for (let i = 0; i < cells; i++) {
        const one = hum[i]!
        if (one !== -9999) temp[i] = one > 50 ? temp[i]! + 1 : temp[i]! - 1
      }
    },
  ],
  [
    'temp = sqrt(abs(((hum * 0.1 + 2) * hum - 3) * hum + 1)) / (hum * hum + 1) + 0.5 * temp',
    (temp, hum, cells) => {
      for (let i = 0; i < cells; i++) {
        const h = hum[i]!
        const root = Math.sqrt(Math.abs(((h * 0.1 + 2) * h - 3) * h + 1))
        temp[i] = root / (h * h + 1) + 0.5 * temp[i]!
      }
    },
  ],
]

function compiled(source: string): Program {
  const result = compile(source, { fields: FIELDS, width: geometry.width })
  if (!result.ok) throw new Error(result.problems[0]!.message)
  return result.compiled.program
}

function soundOf(program: Program) {
  const sound = verify(program, FIELDS.length)
  if (!sound.ok) throw new Error(sound.message)
  return sound
}

const random = new Random(1)
const windows: TileWindow[] = []
const pages: TilePage[] = []
for (let tile = 0; tile < TILES; tile++) {
  windows.push(windowOf(geometry, tile, geometry.whole))
  const page = TilePage.empty(createLayout(FIELDS, geometry.tile ** 2))
  for (const field of [0, 1]) {
    const column = page.column(field)
    for (let at = 0; at < column.length; at++) column[at] = random.between(0, 100)
  }
  pages.push(page)
}
const columns = pages.map(
  (page) => [page.column(0), page.column(1)] as [Float64Array, Float64Array],
)

/** Medians of the own time of each, a round after the other. */
function alternating(runs: readonly (() => unknown)[], rounds = ROUNDS): number[] {
  const times = runs.map((): number[] => [])
  for (let round = 0; round < rounds + 5; round++) {
    for (const [index, run] of runs.entries()) {
      const { sample } = measure(run)
      if (round >= 5) times[index]!.push(sample.ownMs)
    }
  }
  return times.map(median)
}

const rows: string[][] = [['What', 'Here', 'Beside', 'Ratio', 'Goal', '']]

function addRatio(what: string, [own, beside]: readonly number[], unit: number, goal?: number) {
  const ratio = own! / beside!
  const each = (ms: number): string => `${((ms * 1000) / unit).toFixed(2)} µs`
  rows.push([what, each(own!), each(beside!), ratio.toFixed(2), ...judged(ratio, goal)])
}

function addRate(what: string, perSecond: number, goal: number): void {
  const rate = `${(perSecond / 1e6).toFixed(1)} M/s`
  rows.push([what, rate, '', '', `≥ ${goal / 1e6} M/s`, perSecond >= goal ? 'holds' : 'missed'])
}

const line = WRITES[1]![0]
const first = measure(() => compiled(line)).sample.ownMs
rows.push(['a line compiled, the first of a process', `${formatMs(first)} ms`])

const longSource = Array.from(
  { length: 330 },
  (_, at) => `temp = (temp * ${at} / 5) + hum - 32 where hum > 4`,
).join('\n')
const { tokens } = parse(longSource, [])
const [parseMs] = alternating([() => parse(longSource, [])])
addRate('text parsed, tokens', (tokens / parseMs!) * 1000, 1e6)
const long = compiled(
  Array.from({ length: 50 }, (_, at) => `temp = temp * ${at}.5 + hum / 3 - ${at}`).join('\n'),
)
const VERIFIED = 200
const [verifyMs] = alternating([
  () => {
    for (let at = 0; at < VERIFIED; at++) soundOf(long)
  },
])
addRate('microglyphs verified', ((VERIFIED * long.code.length) / 8 / verifyMs!) * 1000, 20e6)
const LINES = 200
const [compileMs] = alternating([
  () => {
    for (let at = 0; at < LINES; at++) compiled(line)
  },
])
rows.push([
  'a line compiled, warm',
  `${formatMs(compileMs! / LINES)} ms`,
  '',
  '',
  ...judged(compileMs! / LINES, 0.1, '0.1 ms'),
])

for (const [source, loop] of WRITES) {
  const program = compiled(source)
  const interpreter = new Interpreter(program, soundOf(program), FIELDS)
  const place = { x: 0, y: 0, gridWidth: geometry.width }
  const byProgram = (): void => {
    for (let tile = 0; tile < TILES; tile++) interpreter.run(pages[tile]!, windows[tile]!, place)
  }
  const byHand = (): void => {
    for (let tile = 0; tile < TILES; tile++) loop(...columns[tile]!, geometry.tile ** 2)
  }
  const glyphs = program.code.length / 8
  addRatio(
    `${glyphs} microglyphs on ${TILES} tiles: \`${source.replaceAll('\n', '; ')}\``,
    alternating([byProgram, byHand]),
    TILES,
    6,
  )
}

const stat = findOperation('stat') as ReadOperation
const source =
  'return count = count(true); return sum = sum(temp); return min = min(temp); return max = max(temp); return mean = mean(temp); return variance = var(temp)'
const parsed = parseProgram({ source }, geometry.whole, context, { costMax: COST_MAX })
if (!parsed.ok) throw new Error(parsed.problems[0]!.message)
const byProgram = findOperation(parsed.value.op) as ReadOperation
const read = (operation: ReadOperation, args: object) => (): void => {
  const run = operation.run(args as never, context)
  for (let tile = 0; tile < TILES; tile++) run.visit(pages[tile]!, windows[tile]!)
  run.finish()
}
addRatio(
  '`stat` as a program ÷ built in',
  alternating([read(byProgram, parsed.value.args), read(stat, { field: 0 })]),
  TILES,
  1.1,
)

const PREPARED = 512
const programs = Array.from({ length: PREPARED }, (_, at) =>
  compiled(`temp = temp * ${at} + hum where hum > ${at}`),
)
globalThis.gc?.()
const before = process.memoryUsage()
const kept = programs.map((program) => new Interpreter(program, soundOf(program), FIELDS))
globalThis.gc?.()
const after = process.memoryUsage()
const bytes = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers
const isSeen = globalThis.gc !== undefined
rows.push([
  `${kept.length} programs prepared`,
  isSeen ? `${(bytes / 2 ** 20).toFixed(2)} MiB` : 'only with --expose-gc',
  '',
  '',
  ...(isSeen ? judged(bytes / 2 ** 20, 1, '1 MiB') : []),
])
report(rows)
