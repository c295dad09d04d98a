/**
 * Programs that tasks of a simulated fleet name: an operator defines them, makes other versions current and sets a
 * context, all the time. By the order in which the ledger's disk takes changes and tasks, a plain model knows which
 * version a task gets, and from then on the task is one that brings along the text of that version.
 */
import { isDeepStrictEqual } from 'node:util'
import type { CodexOutcome } from '../../broker/core/effects.ts'
import type { CodexDemand } from '../../broker/core/events.ts'
import type { LedgerRecord } from '../../broker/core/ledger-records.ts'
import type { Random } from '../../shared/core/random.ts'
import {
  calledName,
  MAIN_CONTEXT,
  type ProgramCall,
  type ProgramNames,
} from '../../shared/protocol/program-call.ts'
import { decodeResult } from './checkers.ts'
import type { PlainTask } from './grid-model.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { TaskStories, TaskStory } from './task-stories.ts'
import { violated } from './violation.ts'

interface PlainProgram {
  readonly name: string
  readonly glyph?: string
  readonly readsNeighbours?: true
  /** What other tasks are checked by are sums that are exact: numbers stay whole. */
  readonly sourceOf: (draft: number) => string
}

const AROUND = 'coalesce(value[-1, 0], 3) + coalesce(value[0, 1], 1)'
const PROGRAMS: readonly PlainProgram[] = [
  { name: 'dose', glyph: '♨', sourceOf: (n) => `value = clamp(value + ${n} * $p, -1e6, 1e6)` },
  {
    name: 'spread',
    readsNeighbours: true,
    sourceOf: (n) => `value = clamp(floor((value + ${AROUND} + ${n} * $p) / 2), -1e6, 1e6)`,
  },
  {
    name: 'tell',
    glyph: '☂',
    sourceOf: (n) => `return total = sum(value + ${n})\nreturn high = count(value > $p)`,
  },
  // A write in some versions, a read in others.
  {
    name: 'turn',
    sourceOf: (n) =>
      n % 2 === 0 ? `level = level + ${n} + $p` : `return most = max(level + ${n} * $p)`,
  },
]
const OTHER_CONTEXT = 'winter'
const PATCH_EVERY_MS = 100
const RETRY_MS = 150
/** What an operator may be told at any time, and then tries again. */
const PASSING = ['recovering', 'ledger-full']
/** What a task is refused for, as long as nobody has defined what it names. */
export const UNDEFINED = [
  ...['unknown-operation', 'unknown-glyph', 'unknown-program'],
  ...['unknown-version', 'unknown-context'],
]

/** What the ledger holds. */
interface PlainCodex {
  /** By name and version. */
  readonly sources: Map<string, string>
  readonly contexts: Map<string, Readonly<Record<string, number>>>
}

interface Surroundings {
  readonly random: Random
  readonly clock: SimulatedClock
  readonly gateway: SimulatedGateway
  readonly stories: TaskStories
  readonly count: (what: string) => void
}

/** What a task may call, as far as anybody who parses it wants to know. */
export const PLAIN_NAMES: ProgramNames = {
  nameOf: (called) => PROGRAMS.find(({ name, glyph }) => [name, glyph].includes(called))?.name,
  names: PROGRAMS.map(({ name }) => name),
  glyphs: PROGRAMS.flatMap(({ glyph = [] }) => glyph),
}

export class CodexChecker {
  readonly #around: Surroundings
  #codex: PlainCodex = { sources: new Map(), contexts: new Map() }
  /** Programs, by what was ever asked to be one. */
  readonly #asked = new Map<string, string>()
  #todo: CodexDemand[] = []
  #drafts = 1
  /** Counts the ledgers. */
  #era = 0

  constructor(around: Surroundings) {
    this.#around = around
  }

  /** One change after the other, the first of which define all that tasks name. */
  keepPatching(untilMs: number): void {
    this.#todo = [...PROGRAMS.map((program) => this.#draft(program)), this.#contextDemand(false)]
    this.#go(untilMs)
  }

  #go(untilMs: number): void {
    const { clock, random } = this.#around
    const isOver = clock.nowMs >= untilMs
    const next = this.#todo.shift() ?? (isOver ? this.#contextDemand(false) : this.#drawDemand())
    this.#ask(next, { isDone: false, era: this.#era }, () => {
      if (isOver) return
      clock.after(random.between(0, 2 * PATCH_EVERY_MS), () => this.#go(untilMs))
    })
  }

  /** Until it is answered. */
  #ask(demand: CodexDemand, wish: { isDone: boolean; readonly era: number }, done: () => void) {
    const { clock, gateway } = this.#around
    const isVoid = (): boolean => wish.isDone || wish.era !== this.#era
    if (isVoid()) return
    gateway.demand(demand, (outcome) => {
      if (isVoid() || (!outcome.ok && PASSING.includes(outcome.refusal.code))) return
      wish.isDone = true
      this.#answered(demand, outcome)
      done()
    })
    clock.after(RETRY_MS, () => this.#ask(demand, wish, done))
  }

  #answered(demand: CodexDemand, outcome: CodexOutcome): void {
    const { sources, contexts } = this.#codex
    const { name } = demand
    if (!outcome.ok) {
      const { code, message } = outcome.refusal
      const isRight =
        code === 'version-conflict' &&
        demand.do === 'use' &&
        demand.ifVersion !== undefined &&
        demand.ifVersion !== this.#currentOf(name, demand.context)
      if (!isRight) violated(`a change of ${name} was refused: ${message}`)
      this.#around.count('patch-conflict')
      return
    }
    const isThere =
      demand.do === 'define'
        ? sources.get(`${name}@${outcome.version}`) === demand.source
        : demand.do === 'use'
          ? this.#currentOf(name, demand.context) === demand.version
          : demand.do !== 'set-context' ||
            isDeepStrictEqual(contexts.get(name) ?? {}, demand.programs)
    if (!isThere) violated(`${demand.do} ${name} was acknowledged before it was on disk`)
    this.#around.count(`codex-${demand.do}`)
  }

  #draft({ name, glyph, sourceOf }: PlainProgram): CodexDemand {
    const source = sourceOf(this.#drafts)
    this.#drafts += 1
    this.#asked.set(source, name)
    return { do: 'define', name, source, ...(glyph === undefined ? {} : { glyph }) }
  }

  #drawDemand(): CodexDemand {
    const { random } = this.#around
    const draw = random.unit()
    const program = PROGRAMS[random.integer(PROGRAMS.length)]!
    const { name } = program
    if (draw < 0.2) return this.#draft(program)
    const version = this.#drawVersion(name)
    if (version === undefined) return this.#draft(program)
    if (draw < 0.35) return this.#contextDemand(random.unit() < 0.3)
    const context = draw < 0.5 ? OTHER_CONTEXT : MAIN_CONTEXT
    const wish = { do: 'use', name, version, context } as const
    if (random.unit() < 0.5) return wish
    // A wrong one now and then.
    const ifVersion = this.#currentOf(name, context)! + (random.unit() < 0.2 ? 1 : 0)
    return { ...wish, ifVersion }
  }

  /** One that names nothing goes. */
  #contextDemand(isEmpty: boolean): CodexDemand {
    const version = this.#drawVersion('dose')
    const programs = isEmpty || version === undefined ? {} : { dose: version }
    return { do: 'set-context', name: OTHER_CONTEXT, programs }
  }

  #drawVersion(name: string): number | undefined {
    const versions = this.#versionsOf(name)
    return versions[this.#around.random.integer(Math.max(1, versions.length))]
  }

  #versionsOf(name: string): number[] {
    return [...this.#codex.sources.keys()]
      .filter((key) => key.startsWith(`${name}@`))
      .map((key) => Number(key.slice(name.length + 1)))
  }

  /** What a task asks for that calls a program, by its name, its glyph, a version, or in a context. */
  drawCall(): Pick<PlainTask, 'op' | 'args'> {
    const { random } = this.#around
    const { name, glyph, readsNeighbours } = PROGRAMS[random.integer(PROGRAMS.length)]!
    const draw = random.unit()
    const version = draw < 0.15 ? this.#drawVersion(name) : undefined
    const called = draw < 0.3 ? (glyph ?? name) : name
    const op = version === undefined ? called : `${called}@${version}`
    const isInContext = draw > 0.8 && this.#codex.contexts.has(OTHER_CONTEXT)
    const args = {
      with: { p: 1 + random.integer(9) },
      ...(isInContext ? { context: OTHER_CONTEXT } : {}),
      ...(readsNeighbours ? { steps: 1 + random.integer(2) } : {}),
    }
    return { op, args }
  }

  /** Whether it would get another version now. */
  isPatched({ call, version }: TaskStory): boolean {
    if (call === undefined || call.version !== undefined) return false
    return this.#currentOf(call.name, call.context) !== version
  }

  #currentOf(name: string, context: string = MAIN_CONTEXT): number | undefined {
    const { contexts } = this.#codex
    return contexts.get(context)?.[name] ?? contexts.get(MAIN_CONTEXT)?.[name]
  }

  /** The ledger's disk took these. */
  flushed(records: readonly LedgerRecord[]): void {
    for (const { table, key, value } of records) {
      if (table === 'codex') this.#versionFlushed(`${value?.name}@${value?.version}`, value?.source)
      if (table === 'current') this.#contextFlushed(String(key), value?.programs)
      if (table === 'task' && value !== undefined) {
        this.#taskFlushed(this.#around.stories.byHash(value.askedHash ?? value.hash))
      }
      if (table === 'result' && value !== undefined) this.#resultFlushed(String(key), value)
    }
  }

  #versionFlushed(called: string, source: string | undefined): void {
    const { sources } = this.#codex
    if (source === undefined || sources.has(called)) violated(`${called} is changed or dropped`)
    if (!called.startsWith(`${this.#asked.get(source)}@`)) violated(`nobody defined ${called}`)
    sources.set(called, source)
  }

  #contextFlushed(name: string, programs: Readonly<Record<string, number>> | undefined): void {
    const { contexts, sources } = this.#codex
    for (const [program, version] of Object.entries(programs ?? {})) {
      if (!sources.has(`${program}@${version}`)) violated(`${name} names ${program}@${version}`)
    }
    if (programs === undefined) contexts.delete(name)
    else contexts.set(name, programs)
  }

  /** It is accepted: what it gets is current at this moment. */
  #taskFlushed(story: TaskStory | undefined): void {
    const call = story?.call
    if (story === undefined || call === undefined || story.version !== undefined) return
    const { name, context = MAIN_CONTEXT, version = this.#currentOf(name, context) } = call
    const isMeant = call.version !== undefined || this.#codex.contexts.has(context)
    const source = this.#codex.sources.get(`${name}@${version}`)
    if (!isMeant || source === undefined) violated(`a task was taken that names no version`)
    this.#around.stories.resolve(story, version!, source)
    this.#around.count(`called-${story.isWrite ? 'write' : 'read'}`)
    if (call.context === OTHER_CONTEXT) this.#around.count('called-in-context')
    if (call.version !== undefined) this.#around.count('called-version')
  }

  #resultFlushed(id: string, bytes: Uint8Array): void {
    const { call, version } = this.#around.stories.find(id) ?? {}
    const { state, op, program } = decodeResult(bytes)
    if (call === undefined || state !== 'completed') return
    const { context } = call
    const named = program as ProgramCall
    const isRight =
      op === calledName(call) &&
      isDeepStrictEqual([named.name, named.version, named.context], [call.name, version, context])
    if (!isRight) violated(`task ${id} got version ${version}, and says ${JSON.stringify(named)}`)
    this.#around.count('result-of-version')
  }

  /** A copy of the ledger is made, which has this. */
  image(): PlainCodex {
    const { sources, contexts } = this.#codex
    return { sources: new Map(sources), contexts: new Map(contexts) }
  }

  /** The ledger is lost, and comes back as it was in this copy, if there is one. */
  startAnew(image: PlainCodex = { sources: new Map(), contexts: new Map() }): void {
    this.#era += 1
    this.#codex = image
  }

  /** The codex is what the disk was told, and so is that of the gateway. */
  atRest(): void {
    const { gateway, count } = this.#around
    const { codex } = gateway.view!
    const versions = codex.names.flatMap((name) => codex.versionsOf(name))
    const sources = new Map(versions.map((one) => [calledName(one), one.source]))
    const contexts = new Map(codex.contexts.map(([name, { programs }]) => [name, programs]))
    if (!isDeepStrictEqual({ sources, contexts }, this.#codex)) violated('the codex differs')
    if (codex.integrity !== 1) violated(`${codex.integrity} of the codex is as it was defined`)
    if (sources.size > 0) count('codex-rests')
  }
}
