/** Each program of docs/osl-cookbook.md, on the demo's map of rain, against a few lines that do the same plainly. */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { LocalGrid } from '../scripts/commands/local-grid.ts'
import { Rain } from '../scripts/demo/rain.ts'
import { type Field, parseFields } from '../shared/grid/fields.ts'
import { parseProgram } from '../shared/operations/program.ts'
import { compile } from '../shared/osl/compiler.ts'
import { Markdown } from './support/markdown.ts'

const page = new Markdown(readFileSync(new URL('../docs/osl-cookbook.md', import.meta.url), 'utf8'))
const titles = page.prose.flatMap(({ text }) => /^## (.*)$/.exec(text)?.[1] ?? [])
const { fields } = parseFields(page.blocks[0]!.text) as { fields: Field[] }

const { geometry, values: rain } = Rain.load()
const { width, height } = geometry
const places = rain.map((_, at) => at)
const f32 = Math.fround

/** What is in the grid before each program. */
const before = {
  rain,
  temp: places.map((at) => f32((rain[at]! % 37) - 6 + 0.1 * (at % 7))),
  avg: places.map((at) => f32((rain[at]! % 11) / 3)),
  total: places.map((at) => 0.1 * (at % 9)),
  elev: places.map((at) => (rain[at]! % 13 === 0 ? -9999 : rain[at]! - 400)),
  zone: rain.map((mm) => Math.floor(mm / 400)),
  alarm: places.map((at) => (at % 3 === 0 ? 1 : 0)),
  red: rain.map((mm) => mm % 5),
  nir: rain.map((mm) => mm % 7),
  ndvi: places.map(() => 0.5),
  alive: rain.map((mm) => (mm % 3 === 0 ? 1 : 0)),
}
const { temp, avg, total, elev, zone, alarm, red, nir, alive } = before
const columns: ReadonlyMap<string, readonly number[]> = new Map(Object.entries(before))
/** The west. */
const isScaled = (at: number): boolean => at % width < 100

function newGrid(): LocalGrid {
  const grid = new LocalGrid(fields, geometry)
  for (const field of fields) grid.fill(field, columns.get(field.name)!)
  run(grid, 'status = scaled where x < 100')
  return grid
}

function run(grid: LocalGrid, source: string, values: Record<string, number> = {}): unknown {
  const limits = { costMax: Number.POSITIVE_INFINITY }
  const { whole } = grid.context.geometry
  const parsed = parseProgram({ source, with: values }, whole, grid.context, limits)
  if (!parsed.ok) throw new Error(`${parsed.problems[0]!.message}\n${source}`)
  return grid.run(parsed.value, whole)
}

type Plain = Readonly<Record<string, (at: number) => number>>

class Section {
  readonly #t: Test
  readonly #sources: string[]

  constructor(t: Test, title: string) {
    this.#t = t
    const { blocks } = page.section(title)
    this.#sources = blocks.filter(({ language }) => language === 'osl').map(({ text }) => text)
  }

  #next(): string {
    const source = this.#sources.shift()
    if (source === undefined) throw new Error('the page has no more programs here')
    return source
  }

  /** The next program sets these fields so, and leaves all others as they were. */
  sets(plain: Plain, values: Record<string, number> = {}): void {
    const grid = newGrid()
    run(grid, this.#next(), values)
    for (const [index, { name }] of fields.entries()) {
      const wanted = plain[name] === undefined ? columns.get(name)! : places.map(plain[name])
      const got = grid.valuesOf(index)
      const at = got.findIndex((value, place) => !Object.is(value, wanted[place]))
      if (at >= 0) this.#t.fail(`${name} of ${at} is ${got[at]}, not ${wanted[at]}`)
      const isChanged = wanted.some((value, place) => value !== columns.get(name)![place])
      this.#t.equal(isChanged, plain[name] !== undefined, `${name} shows what the program does`)
    }
  }

  /** The next program returns these; what was summed up here may be some bits off. */
  returns(wanted: Readonly<Record<string, unknown>>, values: Record<string, number> = {}): void {
    const got = run(newGrid(), this.#next(), values)
    this.#t.strictSame(rounded(got), rounded(wanted))
  }

  end(): void {
    this.#t.strictSame(this.#sources, [], 'each program is run')
  }
}

function rounded(value: unknown): unknown {
  if (typeof value === 'number') return Number(value.toPrecision(11))
  if (Array.isArray(value)) return value.map(rounded)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rounded(one)]))
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)
const mean = (values: readonly number[]): number => sum(values) / values.length
const variance = (values: readonly number[]): number => {
  const middle = mean(values)
  return mean(values.map((value) => (value - middle) ** 2))
}
const pointOf = (at: number, value: number) => ({
  ...{ x: at % width, y: Math.floor(at / width), value },
})
/** The cell that many columns and rows away, or nothing. */
const near = (of: readonly number[], at: number, dx: number, dy: number): number | undefined => {
  const [x, y] = [(at % width) + dx, Math.floor(at / width) + dy]
  return x < 0 || y < 0 || x >= width || y >= height ? undefined : of[y * width + x]
}

const classes = [...new Set(zone)].sort((a, b) => a - b)
const byZone = (reduce: (rain: number[]) => number) => ({
  classes,
  values: classes.map((one) => reduce(rain.filter((_, at) => zone[at] === one))),
})

const recipes: Readonly<Record<string, (section: Section) => void>> = {
  'Unit conversion': (section) => {
    section.sets({ temp: (at) => (isScaled(at) ? f32((temp[at]! * 9) / 5 + 32) : temp[at]!) })
  },
  Nodata: (section) => {
    const known = elev.filter((one) => one !== -9999)
    section.returns({ known: known.length, lowest: Math.min(...known), height: mean(known) })
    section.sets({ elev: (at) => (elev[at] === -9999 ? -9999 : elev[at]! + 12) })
    section.sets({ elev: (at) => (elev[at] === -9999 ? 0 : elev[at]!) })
  },
  Classify: (section) => {
    const limits = [250, 500, 1000]
    section.sets({ zone: (at) => 1 + limits.filter((limit) => rain[at]! >= limit).length })
    section.sets({ zone: (at) => Math.min(5, 1 + Math.floor(rain[at]! / 500)) })
  },
  'Threshold alarm with hysteresis': (section) => {
    section.sets(
      { alarm: (at) => (temp[at]! > 26 ? 1 : temp[at]! < 20 ? 0 : alarm[at]!) },
      { on: 26, off: 20 },
    )
    const raised = places.filter((at) => alarm[at] === 1)
    const most = Math.max(...raised.map((at) => temp[at]!))
    const hottest = raised.find((at) => temp[at] === most)!
    section.returns({ raised: raised.length, hottest: pointOf(hottest, most) })
  },
  'Moving average': (section) => {
    section.sets({ avg: (at) => f32(avg[at]! + 0.1 * (temp[at]! - avg[at]!)) }, { alpha: 0.1 })
  },
  'Rain sum': (section) => {
    section.sets({ total: (at) => total[at]! + rain[at]!, rain: () => 0 })
  },
  'Zonal statistics': (section) => {
    const cells = byZone((own) => own.length)
    section.returns({ cells, mean: byZone(mean), most: byZone((own) => Math.max(...own)) })
    const own = rain.filter((_, at) => zone[at] === 2)
    const counts = new Array<number>(8).fill(0)
    for (const mm of own) counts[Math.floor(mm / 500)]! += 1
    const parts = { edges: [0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000], counts }
    section.returns(
      { mean: mean(own), spread: variance(own), parts: { ...parts, below: 0, above: 0 } },
      { zone: 2 },
    )
  },
  'Normalised difference': (section) => {
    const of = (at: number): number => (nir[at]! - red[at]!) / (nir[at]! + red[at]!)
    section.sets({ ndvi: (at) => (nir[at]! + red[at]! === 0 ? -1000 : f32(of(at)) + 0) })
  },
  Diffusion: (section) => {
    const next = (at: number): number => {
      const around = [near(temp, at, -1, 0), near(temp, at, 1, 0)]
      around.push(near(temp, at, 0, -1), near(temp, at, 0, 1))
      if (around.includes(undefined)) return temp[at]!
      return f32(temp[at]! + 0.2 * (sum(around as number[]) - 4 * temp[at]!))
    }
    section.sets({ temp: next }, { rate: 0.2 })
  },
  Life: (section) => {
    const next = (at: number): number => {
      let around = -alive[at]!
      for (const dy of [-1, 0, 1]) {
        for (const dx of [-1, 0, 1]) around += near(alive, at, dx, dy) ?? 0
      }
      return around === 3 || (around === 2 && alive[at] === 1) ? 1 : 0
    }
    section.sets({ alive: next })
  },
  'Score of a linear model': (section) => {
    const errors = places.map((at) => 700 + 0.5 * elev[at]! - 8 * temp[at]! - rain[at]!)
    section.returns(
      {
        mse: mean(errors.map((error) => error * error)),
        of_bias: 2 * mean(errors),
        of_height: 2 * mean(errors.map((error, at) => error * elev[at]!)),
        of_warmth: 2 * mean(errors.map((error, at) => error * temp[at]!)),
      },
      { bias: 700, height: 0.5, warmth: -8 },
    )
  },
  'Anomaly against a mean': (section) => {
    const usual = { mean: mean(rain), var: variance(rain) }
    section.returns(usual)
    const scores = rain.map((mm) => (mm - usual.mean) / Math.sqrt(usual.var))
    const most = places.toSorted((a, b) => scores[b]! - scores[a]! || a - b).slice(0, 5)
    const odd = scores.filter((score) => Math.abs(score) > 3).length
    section.returns({ odd, most: most.map((at) => pointOf(at, scores[at]!)) }, usual)
  },
}

t.test('the page has the programs that are tried, and no others', (t) => {
  t.strictSame(titles, Object.keys(recipes))
  t.strictSame(
    fields.map(({ name }) => name),
    [...columns.keys()],
  )
  t.end()
})

const language = new Markdown(readFileSync(new URL('../docs/osl.md', import.meta.url), 'utf8'))

t.test('what the page of the language computes is so', (t) => {
  const rows = language.section('Bit by bit').rows()
  const vectors = rows.filter(([, value = '']) => /^\d+$/.test(value))
  t.equal(vectors.length, 5)
  const grid = new LocalGrid(fields, { width: 3, height: 2 })
  for (const [code = '', value] of vectors) {
    const source = `show v = ${code.replaceAll('`', '')}`
    t.strictSame(run(grid, source, {}), { v: new Array(6).fill(Number(value)) }, code)
  }
  const random = 'show v = random(7) - hash(7, y * 3 + x) / 2^16 / 2^16'
  t.strictSame(run(grid, random), { v: new Array(6).fill(0) })
  const rest = 'show v = (x - 1.25) % -0.5 - (x - 1.25 + 0.5 * floor((x - 1.25) / -0.5))'
  t.strictSame(run(grid, rest), { v: new Array(6).fill(0) })
  t.end()
})

t.test('what the page of the language shows is taken', (t) => {
  const shown = language.blocks.filter(({ language }) => language === 'osl')
  t.not(shown.length, 0)
  const { fields } = parseFields('temp:f32,hum:f32,elev:i32,zone:u8,cell:u8') as { fields: Field[] }
  for (const { text } of shown) {
    const result = compile(text, { fields, width: 64 })
    t.ok(result.ok, text)
  }
  t.end()
})

for (const [title, recipe] of Object.entries(recipes)) {
  t.test(title, (t) => {
    const section = new Section(t, title)
    recipe(section)
    section.end()
    t.end()
  })
}
