/** `obelisk osl`: programs for the cells of a grid are checked, looked at, spelled, and run. */
import { type Fault, ObeliskError } from '../../shared/client/obelisk-error.ts'
import { count } from '../../shared/core/count.ts'
import type { Field } from '../../shared/grid/fields.ts'
import { PROGRAM } from '../../shared/operations/program-about.ts'
import { compileSound } from '../../shared/osl/checked-source.ts'
import type { OslGrid } from '../../shared/osl/compiler.ts'
import { explain as explained } from '../../shared/osl/explain.ts'
import type { OslProblem } from '../../shared/osl/osl-problems.ts'
import { type Spelling, spell } from '../../shared/osl/spelling.ts'
import type { CheckedView } from '../../shared/protocol/codex-views.ts'
import { calledName } from '../../shared/protocol/program-call.ts'
import type { RingView } from '../../shared/protocol/views.ts'
import { usage } from '../fault.ts'
import {
  type Asked,
  type AskedHere,
  type CommandGroup,
  type Flags,
  given,
  show,
} from './command-place.ts'
import { COLUMNS_OF_CODEX, codexRows } from './osl-codex.ts'
import { fieldsIn, inFlags, type LocalFlags, runHere, sizeIn } from './osl-local.ts'
import { addProgramCommands, versionCalled } from './osl-programs.ts'
import { addRuleCommands } from './osl-rules.ts'
import { placed, sourceIn, tell } from './osl-told.ts'
import { rowLines, table } from './streams.ts'
import { submit, type WaitFlag } from './task.ts'

type GridFlags = Flags<'fields' | 'grid'>
type RunFlags = LocalFlags &
  WaitFlag &
  Flags<'region' | 'id' | 'steps', 'local'> & { readonly with?: readonly string[] }

/** Of a gateway that was told nothing. */
const GRID_DEFAULT = '1024x1024'
const FIELDS = 'the fields, instead of asking the gateway'
const GRID = `how large it is, with --fields (default: ${GRID_DEFAULT})`

export function addOslCommands(obelisk: CommandGroup): void {
  const osl = obelisk.group(
    'osl',
    'programs for the cells of the grid: check them, look at them, run them',
  )
  osl
    .asks('check <file>', check)
    .description('say whether a program is one, or what is wrong with it; - is the standard input')
    .option('--fields <name:type,…>', FIELDS)
    .option('--grid <WxH>', GRID)
  osl
    .asks('explain <program>', explain)
    .description(
      'show the microglyphs of a program and what they cost: of a file, of - the standard input, or of name[@version] in the codex',
    )
    .option('--fields <name:type,…>', FIELDS)
    .option('--grid <WxH>', GRID)
  osl
    .asks('run <file>', run)
    .description('run a program as a task, or here; - is the standard input')
    .option('--region <x,y,w,h>', 'the LSUs it runs over (default: the whole grid)')
    .option('--with <name=number...>', 'a number for each $name of the program')
    .option('--steps <n>', 'how often in a row, of a program that reads neighbours')
    .option('--id <id>', "the task's id (default: a random one)")
    .option(
      '--wait [seconds]',
      'wait for its end, without a number as long as that takes, and print the result',
    )
    .option(
      '--local',
      'without a gateway, on a grid of zeros: print what it returns, or what it set as CSV',
    )
    .option('--fields <name:type,…>', 'the fields of that grid')
    .option('--grid <WxH>', 'how large that grid is')
    .option('--csv <field=file...>', 'what is in a field of that grid, as grid get writes it')
  osl
    .does('glyphs', glyphs)
    .description('list all glyphs, or spell a program with them')
    .option('--format <file>', 'print that program with glyphs; - is the standard input')
    .option('--ascii <file>', 'print it without')
    .option('--json', 'print JSON')
  addProgramCommands(osl)
  addRuleCommands(osl)
}

async function check(asked: Asked<GridFlags>, file: string): Promise<number> {
  const looked = await look(asked, await sourceIn(file, asked.streams))
  if (typeof looked === 'number') return looked
  const { parameters, explanation } = looked
  const { microglyphs, ...facts } = explanation
  const answer = { ...facts, microglyphs: microglyphs.length, parameters }
  const words = [
    `a ${facts.kind}: ${count(microglyphs.length, 'microglyph')}, ${facts.bytes} bytes`,
    `${count(facts.cost, 'unit')} a cell`,
    ...(parameters.length === 0
      ? []
      : [`takes ${parameters.map((name) => `$${name}`).join(', ')}`]),
  ]
  return show(asked, answer, `${words.join(', ')}\n`)
}

async function explain(asked: Asked<GridFlags>, called: string): Promise<number> {
  const named = asked.flags.fields === undefined ? await versionCalled(asked, called) : undefined
  // One that the gateway cannot compile any more has problems here, too.
  const looked = named?.explained
    ? explanationOf(named.explained)
    : await look(asked, named?.source ?? (await sourceIn(called, asked.streams)))
  if (typeof looked === 'number') return looked
  const { parameters, explanation } = looked
  const { kind, hash, microglyphs, cost, reach, bytes } = explanation
  const what = named && { name: named.name, version: named.version, source: named.source }
  return show(asked, { ...what, ...explanation, parameters }, () => {
    const lines = table(
      asked.streams,
      [...microglyphs.entries()],
      [
        { title: '#', text: ([index]) => String(index), isNumber: true },
        { title: 'COST', text: ([, one]) => String(one.cost), isNumber: true },
        { title: 'MICROGLYPH', text: ([, { text }]) => text },
      ],
    )
    const rows = rowLines(12, [
      ...(named === undefined ? [] : [['program', calledName(named)] as const]),
      ['kind', kind],
      ['cost', `${count(cost, 'unit')} a cell`],
      ['reach', reach === 0 ? 'the cell itself' : count(reach, 'cell')],
      ['bytes', String(bytes)],
      ['hash', hash],
      ...(parameters.length === 0
        ? []
        : [['parameters', parameters.map((name) => `$${name}`).join(' ')] as const]),
    ])
    return `${lines}\n${rows}`
  })
}

function explanationOf({ parameters, ...explanation }: CheckedView) {
  return { parameters, explanation }
}

/** What becomes of a program on the grid that is meant; the exit code, where it is none and that was told. */
async function look(asked: Asked<GridFlags>, source: string) {
  const grid = await gridOf(asked)
  const made = compileSound(source, grid)
  if (!made.ok) return tell(asked, source, placed(source, made.problems))
  const { program, parameters, sound } = made.compiled
  const names = grid.fields.map(({ name }) => name)
  const explanation = explained(program, sound, names, parameters)
  return { parameters: [...parameters.keys()], explanation }
}

async function gridOf(asked: Asked<GridFlags>): Promise<OslGrid> {
  const { fields, grid } = asked.flags
  if (fields !== undefined) {
    return { fields: fieldsIn(fields), width: sizeIn(grid ?? GRID_DEFAULT).width }
  }
  if (grid !== undefined) throw usage('--grid: say which fields it has, with --fields')
  const ring = await asked.gateway.json<RingView>({ path: '/api/ring' })
  return { fields: ring.fields as Field[], width: ring.grid.width }
}

async function run(asked: Asked<RunFlags>, file: string): Promise<number> {
  const { streams, flags } = asked
  const source = await sourceIn(file, streams)
  const args = { source, with: numbersOf(flags.with), steps: given(flags.steps, stepsIn) }
  if (flags.local) {
    const told = await runHere(asked, args)
    return typeof told === 'number' ? told : tell(asked, source, told)
  }
  for (const name of ['fields', 'grid', 'csv'] as const) {
    if (flags[name] !== undefined)
      throw usage(`--${name}: that is the gateway's, unless with --local`)
  }
  try {
    const { gateway } = asked
    const wished = { ...flags, args: JSON.stringify(args) }
    return await submit({ gateway, streams, flags: wished, words: [] }, PROGRAM)
  } catch (error) {
    const isOfProgram = ({ path }: Fault): boolean => /^args\b/.test(path)
    if (!(error instanceof ObeliskError && error.errors.some(isOfProgram))) throw error
    return tell(asked, source, error.errors.map(inFlags))
  }
}

async function glyphs(asked: AskedHere<Flags<'format' | 'ascii'>>): Promise<number> {
  const { streams, flags } = asked
  const { format, ascii } = flags
  if (format !== undefined && ascii !== undefined) throw usage('one of --format and --ascii')
  const file = format ?? ascii
  if (file === undefined) {
    const rows = codexRows()
    return show(asked, rows, () => table(streams, rows, COLUMNS_OF_CODEX))
  }
  const spelling: Spelling = format === undefined ? 'ascii' : 'glyphs'
  const source = await sourceIn(file, streams)
  const problems: OslProblem[] = []
  const text = spell(source, spelling, problems)
  if (problems.length > 0) return tell(asked, source, placed(source, problems))
  return show(asked, { source: text }, text)
}

function stepsIn(text: string): number {
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  throw usage(`--steps: "${text}" is not a whole number above 0`)
}

/** Of `name=number`, each once. */
function numbersOf(pairs: readonly string[] = []): Readonly<Record<string, number>> {
  const values = new Map<string, number>()
  for (const pair of pairs) {
    const [, name, text = ''] = /^\$?([A-Za-z]\w*)=(.+)$/.exec(pair) ?? []
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (name === undefined || !Number.isFinite(value)) {
      throw usage(`--with: "${pair}" is not name=number, as limit=30`)
    }
    if (values.has(name)) throw usage(`--with: ${name} stands there twice`)
    values.set(name, value)
  }
  return Object.fromEntries(values)
}
