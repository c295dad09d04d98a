/** What reading programs return, against the cells one by one: parts cut and joined in any way, through the wire. */
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { Geometry } from '../../../shared/grid/geometry.ts'
import { createLayout } from '../../../shared/grid/page-layout.ts'
import { TilePage } from '../../../shared/grid/tile-page.ts'
import { type AskedTiles, type Wire, windowOf } from '../../../shared/operations/operation.ts'
import { oslRead } from '../../../shared/operations/osl-read.ts'
import { parseProgram } from '../../../shared/operations/program.ts'
import { parse } from '../../../shared/osl/parser.ts'
import { decodeCbor, encodeCbor } from '../../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../../shared/protocol/limits.ts'
import { exactOf, isRight } from '../../support/exact-statistics.ts'
import { type Cells, outcomesOf } from '../../support/osl-evaluator.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from '../../support/osl-programs.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const PROGRAMS = Number(process.env.PROGRAMS ?? 600)
t.comment(`SEED=${seed} PROGRAMS=${PROGRAMS} npx tap run test/shared/osl/osl-read.test.ts`)

const geometry = new Geometry({ width: 22, height: 19, tile: 8 })
const context = { geometry, fields: FIELDS }
const LIMITS = { costMax: 1e12 }

type Counted = { id: number; value: number }[]

/** A number beyond the greatest double counts as that; there is one zero. */
function finite(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)) + 0
}

function pointOf({ id, value }: { id: number; value: number }) {
  return { x: id % geometry.width, y: Math.floor(id / geometry.width), value }
}

/** Why `got` is not what a reducer gives of these. */
function faultOf(
  kind: string,
  got: unknown,
  counted: Counted,
  args: readonly number[],
): string | undefined {
  const is = (wanted: unknown): string | undefined =>
    JSON.stringify(got) === JSON.stringify(wanted) ? undefined : `not ${JSON.stringify(wanted)}`
  const values = counted.map(({ value }) => value)
  const least = Math.min(...values)
  const greatest = Math.max(...values)
  switch (kind) {
    case 'sum':
    case 'mean':
    case 'var': {
      if (values.length === 0) return is(kind === 'sum' ? 0 : null)
      const exact = exactOf(values)[kind === 'var' ? 'variance' : kind]
      // What no double holds is the greatest there is.
      if (Math.abs(got as number) === Number.MAX_VALUE) return undefined
      return isRight(got as number, exact) ? undefined : 'not right'
    }
    case 'min':
    case 'max':
      return is(values.length === 0 ? null : kind === 'min' ? least : greatest)
    case 'argmin':
    case 'argmax': {
      const extreme = kind === 'argmin' ? least : greatest
      const first = counted.filter(({ value }) => value === extreme).sort((a, b) => a.id - b.id)[0]
      return is(first === undefined ? null : pointOf(first))
    }
    case 'histogram': {
      const [low, high, bins] = args as [number, number, number]
      const { edges, counts, below, above } = got as Record<string, number[]> & {
        below: number
        above: number
      }
      const wanted = new Array<number>(bins).fill(0)
      for (const value of values.filter((one) => one >= low && one <= high)) {
        const bin = edges!.findIndex((edge, at) => at > 0 && value < edge)
        wanted[bin < 0 ? bins - 1 : bin - 1]! += 1
      }
      const outside = [
        values.filter((one) => one < low).length,
        values.filter((one) => one > high).length,
      ]
      return JSON.stringify([counts, below, above]) === JSON.stringify([wanted, ...outside])
        ? undefined
        : 'other bins'
    }
    case 'top': {
      const sorted = [...counted].sort((a, b) => b.value - a.value || a.id - b.id)
      return is(sorted.slice(0, args[0]).map(pointOf))
    }
  }
  throw new Error(kind)
}

t.test('outputs are what the cells one by one say', (t) => {
  const random = new Random(seed)
  for (let index = 0; index < PROGRAMS; index++) {
    const writer = new ProgramWriter(random)
    const source = writer.read()
    const x = random.integer(geometry.width)
    const y = random.integer(geometry.height)
    const w = 1 + random.integer(geometry.width - x)
    const h = 1 + random.integer(geometry.height - y)
    const region = { x, y, w, h }
    const used = Object.entries(writer.parameters).filter(([name]) => source.includes(`$${name}`))
    const given = { source, with: Object.fromEntries(used) }
    const parsed = parseProgram(given, region, context, LIMITS)
    if (!parsed.ok) {
      if (parsed.problems.every(({ code }) => code.startsWith('osl-too-'))) continue
      t.fail(parsed.problems[0]!.message, { source })
      break
    }

    const columns = new Map<string, number[]>([
      ...FIELDS.map((field): [string, number[]] => [field.name, []]),
      ['status', []],
    ])
    const pages = new Map<number, TilePage>()
    for (let tile = 0; tile < geometry.tiles; tile++) {
      const own = geometry.tileRegion(tile)
      const page = TilePage.empty(createLayout(FIELDS, own.w * own.h))
      const isUniform = random.integer(3) === 0
      for (const [column, name] of [...columns.keys()].entries()) {
        const draw = (): number =>
          name === 'status' ? random.integer(2) : writer.cell(FIELDS[column]!)
        const one = draw()
        if (isUniform) page.fill(column, one)
        for (let at = 0; at < own.w * own.h; at++) {
          const value = isUniform ? one : draw()
          if (!isUniform) page.column(column)[at] = value
          columns.get(name)![
            (own.y + Math.floor(at / own.w)) * geometry.width + own.x + (at % own.w)
          ] = value
        }
      }
      pages.set(tile, page)
    }

    const parts: number[][] = [[], [], []]
    for (const tile of geometry.tilesOf(region)) parts[random.integer(3)]!.push(tile)
    const partials: Wire[] = []
    for (const tiles of parts.filter((part) => part.length > 0)) {
      const args = throughTheWire(parsed.value.args)
      const run = oslRead.run(args, context)
      let lsus = 0
      for (const tile of tiles) {
        const window = windowOf(geometry, tile, region)
        lsus += window.w * window.h
        run.visit(pages.get(tile)!, window)
      }
      const partial = throughTheWire(run.finish())
      const asked: AskedTiles = { args, tiles: Uint32Array.from(tiles), region, lsus }
      t.equal(oslRead.faultOf(partial, asked, context), undefined, source)
      partials.splice(random.integer(partials.length + 1), 0, partial)
    }
    const total = partials.reduce((left, right) => oslRead.merge(left, right))
    const value = oslRead.finish([total], parsed.value.args, region, context) as Record<
      string,
      unknown
    >

    const cells: Cells = { width: geometry.width, height: geometry.height, fields: FIELDS, columns }
    const outcomes = outcomesOf(source, cells, region, writer.parameters)
    for (const statement of parse(source, []).statements) {
      if (statement.kind !== 'return' && statement.kind !== 'show') continue
      const { name } = statement.name
      const all = outcomes.get(name)!
      const got = value[name]
      const fault =
        statement.kind === 'show'
          ? faultOfShown(got as number[], all)
          : faultOfReturned(statement.reducer.name, got, all, statement.args.slice(1).map(numberOf))
      if (fault !== undefined) {
        t.fail(`program ${index}: ${name} is ${JSON.stringify(got)}, ${fault}`, { source, region })
        t.end()
        return
      }
    }
  }
  t.end()
})

function numberOf(argument: unknown): number {
  const { kind, value, of } = argument as { kind: string; value: number; of: unknown }
  return kind === 'negate' ? -numberOf(of) : value
}

function throughTheWire(wire: Wire): Wire {
  const decoded = decodeCbor(encodeCbor(wire), MESSAGE_LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as Wire
}

type All = { id: number; value: unknown }[]

function faultOfShown(got: readonly number[], all: All): string | undefined {
  const wanted = all.map(({ value }) => (value === null ? Number.NaN : finite(value as number)))
  const isSame = got.length === wanted.length && got.every((one, at) => Object.is(one, wanted[at]))
  return isSame ? undefined : `not ${wanted}`
}

function faultOfReturned(
  kind: string,
  got: unknown,
  all: All,
  args: readonly number[],
): string | undefined {
  const counted = all.filter(({ value }) => value !== null)
  const yes = counted.filter(({ value }) => value === true).length
  const truths: Record<string, unknown> = { count: yes, any: yes > 0, all: yes === counted.length }
  if (kind in truths) return got === truths[kind] ? undefined : `not ${truths[kind]}`
  const numbers = counted.map(({ id, value }) => ({ id, value: finite(value as number) }))
  return faultOf(kind, got, numbers, args)
}
