/** `osl run --local`: a program on a grid in memory. */
import { readFile } from 'node:fs/promises'
import { FileProblem, TextReader } from '../../shared/grid/cell-readers.ts'
import { type Field, parseFields } from '../../shared/grid/fields.ts'
import { GRID_SIDE_MAX, type Region } from '../../shared/grid/geometry.ts'
import { parseProgram } from '../../shared/operations/program.ts'
import { STATUS } from '../../shared/osl/codex.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import type { Problem } from '../../shared/protocol/problems.ts'
import { fault, usage } from '../fault.ts'
import { inWords } from '../path-faults.ts'
import { type AskedHere, type Flags, show } from './command-place.ts'
import { LocalGrid, type Size } from './local-grid.ts'
import { indentedText } from './task.ts'
import { RegionError, regionIn } from './task-request.ts'

export type LocalFlags = Flags<'fields' | 'grid' | 'region'> & { readonly csv?: readonly string[] }

/** Prints what the program returns, or what it set; what is wrong with it instead. */
export async function runHere(
  asked: AskedHere<LocalFlags>,
  args: object,
): Promise<number | readonly Problem[]> {
  const grid = await gridOf(asked.flags)
  const { geometry, fields } = grid.context
  const region = regionOf(asked.flags.region, grid)
  const limits = { costMax: Number.POSITIVE_INFINITY }
  const parsed = parseProgram(args, region, grid.context, limits)
  if (!parsed.ok) return parsed.problems.map(inFlags)
  const value = grid.run(parsed.value, region)
  if (value !== undefined) {
    const plain: unknown = JSON.parse(toJsonText(value))
    return show(asked, plain, () => `${indentedText(plain)}\n`)
  }
  const columns = grid.storesOf(parsed.value).map((index) => ({
    name: index === STATUS ? 'status' : fields[index]!.name,
    values: grid.valuesOf(index),
  }))
  const answer = {
    fields: Object.fromEntries(columns.map((column) => [column.name, column.values])),
  }
  return show(asked, answer, () =>
    columns
      .map(({ name, values }) => {
        const head = columns.length === 1 ? '' : `# ${name}\r\n`
        return `${head}${csvOf(values, geometry.width)}`
      })
      .join(''),
  )
}

/** The gateway's words are of the task that the flags make. */
export function inFlags<
  T extends { readonly code: string; readonly path: string; readonly message: string },
>(problem: T): T {
  const [, name] = /^args\.with\.(\w+)$/.exec(problem.path) ?? []
  if (name === undefined || problem.code !== 'missing') {
    return { ...problem, message: problem.message.replace(/^args\.steps\b/, '--steps') }
  }
  return { ...problem, message: `$${name} has no number: --with ${name}=…` }
}

async function gridOf({ fields: text, grid, csv = [] }: LocalFlags): Promise<LocalGrid> {
  const files = await Promise.all(csv.map(fileOf))
  const fields =
    text === undefined ? files.map(({ name }): Field => ({ name, type: 'f64' })) : fieldsIn(text)
  if (fields.length === 0)
    throw usage('--local: name the fields with --fields, or files with --csv')
  const given = grid === undefined ? undefined : sizeIn(grid)
  const size = given ?? files[0]
  if (size === undefined) throw usage('--local: say how large the grid is, with --grid')
  const made = new LocalGrid(fields, size)
  for (const { name, path, values, width, height } of files) {
    const field = fields.find((one) => one.name === name)
    if (field === undefined) throw usage(`--csv: there is no field "${name}" in --fields`)
    if (width !== size.width || height !== size.height) {
      const message = `${path} has ${width} × ${height} cells, and the grid ${size.width} × ${size.height}`
      throw fault('file-unsuitable', message)
    }
    made.fill(field, values)
  }
  return made
}

interface Filed extends Size {
  readonly name: string
  readonly path: string
  readonly values: readonly number[]
}

/** Of `field=file`. */
async function fileOf(given: string): Promise<Filed> {
  const [, name, path] = /^([a-z]\w*)=(.+)$/.exec(given) ?? []
  if (name === undefined || path === undefined) throw usage(`--csv: "${given}" is not field=file`)
  const bytes = await inWords(path, 'looked at', () => readFile(path))
  const reader = new TextReader()
  try {
    const values = [...reader.read(bytes), ...reader.end()]
    const width = reader.columns ?? 0
    const height = values.length / width
    if (width === 0) throw new FileProblem('there is no number in it')
    if (Math.max(width, height) > GRID_SIDE_MAX)
      throw new FileProblem(`at most ${GRID_SIDE_MAX} × ${GRID_SIDE_MAX} numbers are taken`)
    return { name, path, values, width, height }
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error
    throw fault('file-unsuitable', `${path}: ${error.message}`, error)
  }
}

export function fieldsIn(text: string): readonly Field[] {
  const parsed = parseFields(text)
  if ('fields' in parsed) return parsed.fields
  throw usage(`--fields: ${parsed.problems.join('; ')}`)
}

/** Of `640x480`. */
export function sizeIn(text: string): Size {
  const [, width = 0, height = 0] = (/^(\d{1,4})x(\d{1,4})$/.exec(text) ?? []).map(Number)
  const isSize = [width, height].every((side) => side >= 1 && side <= GRID_SIDE_MAX)
  if (!isSize) throw usage(`--grid: "${text}" is not WIDTHxHEIGHT, each from 1 to ${GRID_SIDE_MAX}`)
  return { width, height }
}

function regionOf(text: string | undefined, { context }: LocalGrid): Region {
  const { geometry } = context
  if (text === undefined) return geometry.whole
  const region = regionIn(text)
  if (region === undefined) throw new RegionError(text).of(geometry)
  if (geometry.contains(region)) return region
  throw usage(`--region: ${text} is not in a grid of ${geometry.width}x${geometry.height}`)
}

/** As `grid get` writes it. */
function csvOf(values: readonly number[], width: number): string {
  let text = ''
  for (let row = 0; row < values.length; row += width) {
    text += `${values.slice(row, row + width).join()}\r\n`
  }
  return text
}
