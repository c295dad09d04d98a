/**
 * The codex: programs that tasks name, in versions, and which version is current in which context. A version never
 * changes and is never taken back; another becomes current, which is one record. Going back is the same act. What asks
 * for a change gets the records that make it, or what is wrong; who persists them is codex-desk.ts.
 *
 * A context names the versions that differ from those of `main`, which names one of each program.
 */
import { LatestMap } from '../../../shared/core/latest-map.ts'
import { didYouMean } from '../../../shared/core/near-match.ts'
import { own } from '../../../shared/core/own.ts'
import type { SoundSource } from '../../../shared/osl/checked-source.ts'
import type { OslGrid } from '../../../shared/osl/compiler.ts'
import { hashOfProgram } from '../../../shared/osl/program.ts'
import type { Parsed, Problem } from '../../../shared/protocol/problems.ts'
import {
  calledName,
  isProgramName,
  MAIN_CONTEXT,
  type ProgramCall,
  type ProgramNames,
} from '../../../shared/protocol/program-call.ts'
import type {
  ContextRecord,
  LedgerContents,
  LedgerRecord,
  ProgramRecord,
} from '../ledger-records.ts'
import { chainOf, isVerified, LINEAGE_START } from './lineage.ts'
import { faultOfGlyph, faultOfName } from './program-names.ts'
import { compileWritten, type WrittenProgram } from './written-program.ts'

/** Those below are of the language and of the operations. */
const FIRST_NUMBER = 64
export const PROGRAMS_MAX = 449
/** Of one program: beyond, the oldest goes that is current nowhere. */
export const VERSIONS_MAX = 64
/** Of all versions: they stand in memory. */
export const SOURCES_BYTES_MAX = 16 * 1024 * 1024
export const CONTEXTS_MAX = 64
/** Compiled ones that are kept: any other is compiled again. */
const COMPILED_MAX = 64

export interface ProgramWish {
  readonly name: string
  readonly source: string
  /** Of one over items: what a record has, as `amount:f64,nonce:i32`. */
  readonly columns?: string
  readonly glyph?: string
  /** The version that it was made from; left out, the current one of `main`. */
  readonly parent?: number
}

/** Which version is to be current. */
export interface Switch {
  readonly name: string
  readonly version: number
  readonly context?: string
  /** Only where this one is current until then. */
  readonly ifVersion?: number
}

export interface ContextWish {
  readonly name: string
  readonly programs: Readonly<Record<string, number>>
  /** Only where this is the version of the context; 0 of one that is not there. */
  readonly ifVersion?: number
}

export type CodexFault =
  | { readonly problems: readonly Problem[] }
  | {
      readonly code: 'unknown-program' | 'unknown-version' | 'unknown-context' | 'unknown-ghost'
      readonly message: string
    }
  | { readonly code: 'version-conflict' | 'codex-full'; readonly message: string }

export type Change<T> =
  | { readonly ok: true; readonly made: T; readonly records: readonly LedgerRecord[] }
  | { readonly ok: false; readonly fault: CodexFault }

/** The versions of a name, ascending. */
interface Program {
  readonly name: string
  readonly number: number
  glyph: string | null
  versions: ProgramRecord[]
}

/** Versions that are in use beside those that contexts name. */
export interface Pinned {
  pins(name: string, version: number): boolean
}

export class Codex implements ProgramNames {
  readonly #grid: OslGrid
  readonly #pinned: Pinned
  readonly #programs = new Map<string, Program>()
  readonly #byGlyph = new Map<string, string>()
  readonly #contexts = new Map<string, ContextRecord>()
  readonly #damaged = new Set<ProgramRecord>()
  readonly #compiled = new LatestMap<ProgramRecord, SoundSource>(COMPILED_MAX)
  #sourceBytes = 0

  constructor(grid: OslGrid, pinned: Pinned) {
    this.#grid = grid
    this.#pinned = pinned
  }

  /** Takes up what the ledger holds, and gives the versions that are not as they were made. */
  restore({ codex, current }: Pick<LedgerContents, 'codex' | 'current'>): readonly ProgramRecord[] {
    const records = codex.map(({ value }) => value)
    for (const record of records.sort((a, b) => a.version - b.version)) this.#add(record)
    for (const { versions } of this.#programs.values()) {
      versions.forEach((record, index) => {
        const last = versions[index - 1]
        const before = last?.version === record.version - 1 ? last : undefined
        if (!isVerified(record, before)) this.#damaged.add(record)
      })
    }
    for (const { key, value } of current) this.#contexts.set(String(key), value)
    return [...this.#damaged]
  }

  /** In the order in which they came. */
  get programs(): readonly {
    readonly name: string
    readonly number: number
    readonly glyph: string | null
  }[] {
    return [...this.#programs.values()].sort((a, b) => a.number - b.number)
  }

  get names(): readonly string[] {
    return this.programs.map(({ name }) => name)
  }

  get glyphs(): readonly string[] {
    return [...this.#byGlyph.keys()]
  }

  /** By name. */
  get contexts(): readonly (readonly [string, ContextRecord])[] {
    return [...this.#contexts].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** How many versions are as they were made, of all that are kept; 1 of none. */
  get integrity(): number {
    let records = 0
    for (const { versions } of this.#programs.values()) records += versions.length
    return records === 0 ? 1 : (records - this.#damaged.size) / records
  }

  nameOf(called: string): string | undefined {
    return this.#programs.has(called) ? called : this.#byGlyph.get(called)
  }

  /** The newest last. */
  versionsOf(name: string): readonly ProgramRecord[] {
    return this.#programs.get(name)?.versions ?? []
  }

  find(name: string, version: number): ProgramRecord | undefined {
    return this.versionsOf(name).find((record) => record.version === version)
  }

  isDamaged(record: ProgramRecord): boolean {
    return this.#damaged.has(record)
  }

  context(name: string): ContextRecord | undefined {
    return this.#contexts.get(name)
  }

  /** That there is no such program, or no such version of it. */
  lackOf(name: string, version?: number): CodexFault | undefined {
    if (!this.#programs.has(name)) {
      return { code: 'unknown-program', message: this.#noProgram(name) }
    }
    if (version === undefined || this.find(name, version) !== undefined) return undefined
    return { code: 'unknown-version', message: this.#noVersion(name, version) }
  }

  /** The version that is meant in a context. */
  currentOf(name: string, context: string): number | undefined {
    const named = own(this.#contexts.get(context)?.programs ?? {}, name)
    if (named !== undefined) return named
    return context === MAIN_CONTEXT ? undefined : this.currentOf(name, MAIN_CONTEXT)
  }

  /** What a task gets that calls it so now. */
  resolve(call: ProgramCall): Parsed<ProgramRecord> {
    const { name, context = MAIN_CONTEXT } = call
    if (call.version === undefined && !this.#contexts.has(context)) {
      return failed('args.context', 'unknown-context', this.#noContext(context))
    }
    const version = call.version ?? this.currentOf(name, context)
    const record = version === undefined ? undefined : this.find(name, version)
    if (record === undefined) return failed('op', 'unknown-version', this.#noVersion(name, version))
    if (!this.#damaged.has(record)) return { ok: true, value: record }
    const message = `${calledName(record)} is not as it was defined: the ledger was damaged or changed`
    return failed('op', 'program-damaged', message)
  }

  compiled(record: ProgramRecord): Parsed<SoundSource> {
    const known = this.#compiled.get(record)
    if (known !== undefined) return { ok: true, value: known }
    const compiled = this.compile(record, 'op')
    if (compiled.ok) this.#compiled.set(record, compiled.value)
    return compiled
  }

  compile(written: WrittenProgram, path = 'source'): Parsed<SoundSource> {
    return compileWritten(written, this.#grid, path)
  }

  /** The same source again is the version that there is. `isFirst`: it became current. */
  define(
    wish: ProgramWish,
    { by, ts }: Pick<ProgramRecord, 'by' | 'ts'>,
  ): Change<{ readonly record: ProgramRecord; readonly isNew: boolean }> {
    const known = this.#programs.get(wish.name)
    const problems = this.#faultsOf(wish, known)
    if (problems.length > 0) return invalid(problems)
    const same = known?.versions.find(
      ({ source, columns }) => source === wish.source && columns === wish.columns,
    )
    const isSameGlyph = wish.glyph === undefined || wish.glyph === known?.glyph
    if (same !== undefined && isSameGlyph) {
      return { ok: true, made: { record: same, isNew: false }, records: [] }
    }
    const compiled = this.compile(wish)
    if (!compiled.ok) return invalid(compiled.problems)
    const full = this.#fullness(wish, known)
    if (full !== undefined) return { ok: false, fault: { code: 'codex-full', message: full } }
    const record = chained(known?.versions.at(-1), {
      name: wish.name,
      number: known?.number ?? FIRST_NUMBER + this.#programs.size,
      glyph: wish.glyph ?? known?.glyph ?? null,
      source: wish.source,
      kind: compiled.value.kind,
      ...(wish.columns === undefined ? {} : { columns: wish.columns }),
      parameters: [...compiled.value.parameters.keys()],
      parent: wish.parent ?? this.currentOf(wish.name, MAIN_CONTEXT) ?? null,
      hash: hashOfProgram(compiled.value.program),
      ...{ by, ts },
    })
    this.#add(record)
    this.#compiled.set(record, compiled.value)
    const records: LedgerRecord[] = [{ table: 'codex', key: keyOf(record), value: record }]
    if (known === undefined) records.push(this.#point(MAIN_CONTEXT, { [wish.name]: 1 }))
    const dropped = this.#dropOldest(wish.name)
    if (dropped !== undefined) {
      records.push({ table: 'codex', key: keyOf(dropped), value: undefined })
    }
    return { ok: true, made: { record, isNew: true }, records }
  }

  /** The inline patch. */
  use({ name, version, context = MAIN_CONTEXT, ifVersion }: Switch): Change<ContextRecord> {
    const lack = this.lackOf(name)
    if (lack !== undefined) return { ok: false, fault: lack }
    if (!isProgramName(context)) return invalid([wrongContext(context)])
    const current = this.currentOf(name, context)
    if (ifVersion !== undefined && ifVersion !== current) {
      const message = `version ${current} of ${name} is current in ${context}, not ${ifVersion}`
      return fault('version-conflict', message)
    }
    const lackOfVersion = this.lackOf(name, version)
    if (lackOfVersion !== undefined) return { ok: false, fault: lackOfVersion }
    const full = this.#contextsFullness(context)
    if (full !== undefined) return fault('codex-full', full)
    const known = this.#contexts.get(context)
    if (known !== undefined && Object.hasOwn(known.programs, name) && current === version) {
      return { ok: true, made: known, records: [] }
    }
    const record = this.#point(context, { ...known?.programs, [name]: version })
    return { ok: true, made: this.#contexts.get(context)!, records: [record] }
  }

  /** All that a context names; one that names nothing is none. */
  setContext({ name, programs, ifVersion }: ContextWish): Change<ContextRecord> {
    if (!isProgramName(name)) return invalid([wrongContext(name)])
    const { version = 0 } = this.#contexts.get(name) ?? {}
    if (ifVersion !== undefined && ifVersion !== version) {
      return fault('version-conflict', `context ${name} has version ${version}, not ${ifVersion}`)
    }
    for (const [program, wanted] of Object.entries(programs)) {
      const lack = this.lackOf(program, wanted)
      if (lack !== undefined) return { ok: false, fault: lack }
    }
    const missing = name === MAIN_CONTEXT && this.names.find((one) => !Object.hasOwn(programs, one))
    if (missing) {
      const message = `${MAIN_CONTEXT} names a version of each program, and ${missing} is missing`
      return invalid([{ path: `programs.${missing}`, code: 'missing', message }])
    }
    const full = this.#contextsFullness(name)
    if (full !== undefined) return fault('codex-full', full)
    const record = this.#point(name, programs)
    const made = this.#contexts.get(name)!
    if (Object.keys(programs).length > 0) return { ok: true, made, records: [record] }
    this.#contexts.delete(name)
    return { ok: true, made, records: [{ table: 'current', key: name, value: undefined }] }
  }

  #add(record: ProgramRecord): void {
    const { name, number, glyph } = record
    const program = this.#programs.get(name) ?? { name, number, glyph: null, versions: [] }
    program.versions.push(record)
    program.glyph = glyph
    this.#programs.set(name, program)
    if (glyph !== null) this.#byGlyph.set(glyph, name)
    this.#sourceBytes += Buffer.byteLength(record.source)
  }

  #point(context: string, programs: Readonly<Record<string, number>>): LedgerRecord {
    const known = this.#contexts.get(context)
    const isAdded = context === MAIN_CONTEXT
    const value: ContextRecord = {
      version: (known?.version ?? 0) + 1,
      programs: isAdded ? { ...known?.programs, ...programs } : { ...programs },
    }
    this.#contexts.set(context, value)
    return { table: 'current', key: context, value }
  }

  #dropOldest(name: string): ProgramRecord | undefined {
    const program = this.#programs.get(name)!
    if (program.versions.length <= VERSIONS_MAX) return undefined
    const oldest = program.versions.find(({ version }) => !this.#isPinned(name, version))!
    program.versions = program.versions.filter((record) => record !== oldest)
    this.#damaged.delete(oldest)
    this.#compiled.delete(oldest)
    this.#sourceBytes -= Buffer.byteLength(oldest.source)
    return oldest
  }

  /** Some context names it, or something else needs it. */
  #isPinned(name: string, version: number): boolean {
    if (this.#pinned.pins(name, version)) return true
    for (const { programs } of this.#contexts.values()) {
      if (own(programs, name) === version) return true
    }
    return false
  }

  #faultsOf({ name, glyph, parent }: ProgramWish, known: Program | undefined): Problem[] {
    const problems: Problem[] = []
    const nameFault = faultOfName(name)
    if (nameFault !== undefined) problems.push(notAllowed('name', nameFault))
    if (glyph !== undefined) {
      const glyphFault = faultOfGlyph(glyph)
      const owner = this.#byGlyph.get(glyph)
      if (glyphFault !== undefined) problems.push(notAllowed('glyph', glyphFault))
      else if (owner !== undefined && owner !== name) {
        problems.push({
          path: 'glyph',
          code: 'duplicate',
          message: `${glyph} is the glyph of ${owner}`,
        })
      } else if (known !== undefined && known.glyph !== null && known.glyph !== glyph) {
        problems.push(notAllowed('glyph', `the glyph of ${name} is ${known.glyph}, and stays so`))
      }
    }
    if (parent !== undefined && this.find(name, parent) === undefined) {
      const message = this.#noVersion(name, parent)
      problems.push({ path: 'parent', code: 'unknown-version', message })
    }
    return problems
  }

  #fullness({ source }: ProgramWish, known: Program | undefined): string | undefined {
    if (known === undefined && this.#programs.size >= PROGRAMS_MAX) {
      return `there are ${PROGRAMS_MAX} programs, and no number is left for another`
    }
    if (this.#sourceBytes + Buffer.byteLength(source) > SOURCES_BYTES_MAX) {
      return `the sources of all versions have at most ${SOURCES_BYTES_MAX} bytes`
    }
    const { name, versions = [] } = known ?? { name: '' }
    if (versions.length < VERSIONS_MAX) return undefined
    if (versions.some(({ version }) => !this.#isPinned(name, version))) return undefined
    return `all ${VERSIONS_MAX} versions of ${name} are current in some context`
  }

  #contextsFullness(context: string): string | undefined {
    if (this.#contexts.has(context) || this.#contexts.size < CONTEXTS_MAX) return undefined
    return `there are ${CONTEXTS_MAX} contexts already`
  }

  #noProgram(name: string): string {
    return `there is no program "${name.slice(0, 32)}"${didYouMean(name, this.names)}`
  }

  #noVersion(name: string, version: number | undefined): string {
    const versions = this.versionsOf(name)
    if (versions.length === 0) return this.#noProgram(name)
    return `there is no version ${version} of ${name}; the newest is ${versions.at(-1)!.version}`
  }

  #noContext(context: string): string {
    const names = this.contexts.map(([name]) => name)
    return `there is no context "${context.slice(0, 32)}"${didYouMean(context, names)}`
  }
}

function chained(
  last: ProgramRecord | undefined,
  made: Omit<ProgramRecord, 'version' | 'before' | 'chain'>,
): ProgramRecord {
  const before = last?.chain ?? LINEAGE_START
  const unchained = { ...made, version: (last?.version ?? 0) + 1, before }
  return { ...unchained, chain: chainOf(unchained) }
}

function keyOf({ name, version }: ProgramRecord): string {
  return `${name}/${version}`
}

function failed(path: string, code: Problem['code'], message: string): Parsed<never> {
  return { ok: false, problems: [{ path, code, message }] }
}

function fault(
  code: Extract<CodexFault, { code: string }>['code'],
  message: string,
): { readonly ok: false; readonly fault: CodexFault } {
  return { ok: false, fault: { code, message } }
}

function invalid(problems: readonly Problem[]): { readonly ok: false; readonly fault: CodexFault } {
  return { ok: false, fault: { problems } }
}

function notAllowed(path: string, message: string): Problem {
  return { path, code: 'not-allowed', message }
}

function wrongContext(context: string): Problem {
  const message = `"${context.slice(0, 32)}" is no name of a context: a small letter, then up to 31 of a-z, 0-9 and "_"`
  return notAllowed('context', message)
}
