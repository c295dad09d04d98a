/** Programs with a name: they are defined, made current, and looked at, in the codex of a gateway. */
import { existsSync } from 'node:fs'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { count } from '../../shared/core/count.ts'
import type {
  CodexView,
  GhostView,
  ProgramRowView,
  ProgramView,
  SourceView,
  VersionView,
} from '../../shared/protocol/codex-views.ts'
import { calledBy, isProgramName, MAIN_CONTEXT } from '../../shared/protocol/program-call.ts'
import { fault, usage } from '../fault.ts'
import {
  type Asked,
  at,
  type CommandGroup,
  demand,
  type Flags,
  say,
  show,
} from './command-place.ts'
import { sourceIn, tell } from './osl-told.ts'
import { type Column, printable, table, when } from './streams.ts'

interface Defined {
  readonly name: string
  readonly version: number
  /** In `main`. */
  readonly current: number
}

const HASH_SHOWN = 12

export function addProgramCommands(osl: CommandGroup): void {
  osl
    .asks('define <name> <file>', define)
    .description('give a program a name; of one that is there, make another version')
    .option('--columns <name:type,…>', 'of a program over items: what a record has')
    .option('--glyph <glyph>', 'a sign that tasks may name it by, too')
    .option('--parent <version>', 'the version that it was made from (default: the current one)')
  osl
    .asks('use <name> <version>', use)
    .description('make a version current: tasks that are accepted from now on get it')
    .option('--context <name>', 'in this context alone')
    .option('--if-version <version>', 'only if this one is current by now')
  osl
    .asks('ghost <name> [version]', ghost)
    .description('let a version shadow the current one, without effect, and compare both')
    .option('--sample <share>', 'of the tasks, above 0 to 1 (default: 1)')
    .option('--runs <tasks>', 'in which it must be equal (default: 100)')
    .option('--tolerance <number>', 'numbers that are no farther apart are equal (default: 0)')
    .option('--promote <how>', 'after that: manual, wait for a person (default), or auto')
    .option('--end', 'end the one that there is')
  osl.asks('log <name>', log).description('list the versions of a program, the newest first')
  osl.asks('ls', list).description('list the programs that tasks can name')
}

async function define(
  asked: Asked<Flags<'columns' | 'glyph' | 'parent'>>,
  name: string,
  file: string,
): Promise<number> {
  const { columns, glyph, parent, json: isJson = false } = asked.flags
  const source = await sourceIn(file, asked.streams)
  const body = {
    source,
    ...(columns === undefined ? {} : { columns }),
    ...(glyph === undefined ? {} : { glyph }),
    ...(parent === undefined ? {} : { parent: versionIn(parent, '--parent') }),
  }
  try {
    const made = await demand<Defined>(asked.gateway, 'PUT', at`/api/codex/${name}`, body)
    const { version, current } = made
    const next =
      version === current
        ? 'and is current'
        : `and version ${current} is current: obelisk osl use ${name} ${version}`
    return say(asked, made, `${name}@${version} is there, ${next}`)
  } catch (error) {
    const isTold = ({ line }: { line?: number }): boolean => line !== undefined || isJson
    if (!(error instanceof ObeliskError && error.errors.some(isTold))) throw error
    return tell(asked, source, error.errors)
  }
}

/** The version that is called so, or the current one of a program; nothing, where it is a file that is. */
export async function versionCalled(asked: Asked, called: string): Promise<SourceView | undefined> {
  const any = { nameOf: (name: string) => name, names: [], glyphs: [] }
  const { name, version } = calledBy(called, any) ?? {}
  if (name === undefined || !isProgramName(name) || existsSync(called)) return undefined
  const { gateway } = asked
  try {
    const { versions } = await gateway.json<ProgramView>({ path: at`/api/codex/${name}` })
    const current = versions.find((one) => one.current_in.includes(MAIN_CONTEXT))
    const wanted = String(version ?? current?.version)
    return await gateway.json<SourceView>({ path: at`/api/codex/${name}/${wanted}` })
  } catch (error) {
    if (!(error instanceof ObeliskError && error.code === 'unknown-program')) throw error
    throw fault('unreadable', `${called} is not there: neither a file nor a program of the codex`)
  }
}

async function use(
  asked: Asked<Flags<'context' | 'ifVersion'>>,
  name: string,
  version: string,
): Promise<number> {
  const { context, ifVersion } = asked.flags
  const body = {
    version: versionIn(version, 'the version'),
    ...(context === undefined ? {} : { context }),
    ...(ifVersion === undefined ? {} : { if_version: versionIn(ifVersion, '--if-version') }),
  }
  const answer = await demand<object>(asked.gateway, 'POST', at`/api/codex/${name}/current`, body)
  return say(asked, answer, `${name}@${version} is current in ${context ?? MAIN_CONTEXT}`)
}

function kindOf({ kind, columns }: Pick<VersionView, 'kind' | 'columns'>): string {
  return columns === undefined ? kind : 'items'
}

type GhostFlags = Flags<'sample' | 'runs' | 'tolerance' | 'promote'> & { readonly end?: boolean }

async function ghost(asked: Asked<GhostFlags>, name: string, version?: string): Promise<number> {
  const path = at`/api/codex/${name}/ghost`
  const { sample, runs, tolerance, promote, end } = asked.flags
  if (end === true) {
    if (version !== undefined) throw usage('--end takes no version: a program has one ghost')
    const ended = await demand<GhostView>(asked.gateway, 'DELETE', path)
    return say(asked, ended, `${name}@${ended.version} shadows nothing any more`)
  }
  if (version === undefined) throw usage('which version is to be the ghost? --end ends one')
  const body = {
    version: versionIn(version, 'the version'),
    ...(sample === undefined ? {} : { sample: numberIn(sample, '--sample') }),
    ...(runs === undefined ? {} : { runs: numberIn(runs, '--runs') }),
    ...(tolerance === undefined ? {} : { tolerance: numberIn(tolerance, '--tolerance') }),
    ...(promote === undefined ? {} : { promote }),
  }
  const begun = await demand<GhostView>(asked.gateway, 'POST', path, body)
  const then = begun.promote === 'auto' ? ', and becomes current then' : ''
  const until = `until it was equal in ${count(begun.runs, 'task')}${then}`
  return say(asked, begun, `${name}@${begun.version} shadows ${name}@${begun.beside} ${until}`)
}

async function log(asked: Asked, name: string): Promise<number> {
  const program = await asked.gateway.json<ProgramView>({ path: at`/api/codex/${name}` })
  return show(asked, program, () => {
    const rows = table<VersionView>(asked.streams, program.versions, [
      { title: 'VERSION', text: ({ version }) => String(version), isNumber: true },
      { title: 'FROM', text: ({ parent }) => String(parent ?? ''), isNumber: true },
      { title: 'WHEN', text: ({ ts }) => when(ts) },
      { title: 'BY', text: ({ by }) => printable(by ?? '') },
      { title: 'KIND', text: kindOf },
      { title: 'HASH', text: ({ hash }) => hash.slice(0, HASH_SHOWN) },
      { title: 'CURRENT IN', text: (one) => one.current_in.join(' ') },
      { title: 'VERIFIED', text: ({ verified }) => (verified ? 'yes' : 'NO') },
    ])
    return program.ghost === undefined ? rows : `${rows}ghost: ${toldOf(program.ghost)}\n`
  })
}

const GHOST_COLUMN: Column<ProgramRowView> = {
  title: 'GHOST',
  text: ({ ghost: one }) => (one === undefined ? '' : `${one.version} ${one.state}`),
}

/** How it stands, and why. */
function toldOf(ghost: GhostView): string {
  const { version, beside, state, equal, runs, missed, difference } = ghost
  const uncounted = missed === 0 ? '' : `, ${missed} more not compared in whole`
  const counts = `equal in ${equal} of ${count(runs, 'task')}${uncounted}`
  const about = `${version} beside ${beside}, ${state}: ${counts}`
  if (difference === undefined) return about
  const { task, what, lsu, current, ghost: other } = difference
  const where = lsu === undefined ? what : `${what} of LSU ${lsu}`
  return `${about}; in task ${printable(task)} ${where} is ${current}, and ${other} by the ghost`
}

async function list(asked: Asked): Promise<number> {
  const codex = await asked.gateway.json<CodexView>({ path: '/api/codex' })
  const { programs, contexts, integrity } = codex
  return show(asked, codex, () => {
    const rows = table<ProgramRowView>(asked.streams, programs, [
      { title: 'NAME', text: ({ name }) => name },
      { title: 'GLYPH', text: ({ glyph = '' }) => glyph },
      { title: 'CURRENT', text: ({ version }) => String(version), isNumber: true },
      { title: 'NEWEST', text: ({ latest }) => String(latest), isNumber: true },
      { title: 'KIND', text: kindOf },
      { title: 'TAKES', text: (one) => one.parameters.map((name) => `$${name}`).join(' ') },
      ...(programs.some((one) => one.ghost !== undefined) ? [GHOST_COLUMN] : []),
    ])
    const others = contexts
      .filter(({ name }) => name !== MAIN_CONTEXT)
      .map(({ name, programs: named }) => {
        const versions = Object.entries(named).map(([program, version]) => `${program}@${version}`)
        return `context ${name}: ${versions.join(' ')}\n`
      })
    const damage = `${(integrity * 100).toFixed(1)} % of all versions are as they were defined\n`
    const told = integrity === 1 ? '' : damage
    const head = programs.length === 0 ? `${count(0, 'program')}\n` : rows
    return `${head}${others.join('')}${told}`
  })
}

function versionIn(text: string, what: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw usage(`${what}: "${text}" is not the number of a version`)
}

function numberIn(text: string, what: string): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isFinite(number)) return number
  throw usage(`${what}: "${text}" is not a number`)
}
