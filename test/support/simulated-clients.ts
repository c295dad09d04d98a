/**
 * Clients of the gateway: they draw tasks that overlap, submit them until they are answered, send some
 * again, some with another body, and take some back.
 */
import type { Outcome } from '../../broker/core/effects.ts'
import type { TaskId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import type { Checkers } from './checkers.ts'
import { type CodexChecker, UNDEFINED } from './codex-checker.ts'
import { drawProgram } from './drawn-programs.ts'
import type { PlainRegion, PlainTask } from './grid-model.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { TaskStories, TaskStory } from './task-stories.ts'
import { violated } from './violation.ts'

export interface ClientSurroundings {
  readonly grid: GridContext
  readonly clock: SimulatedClock
  readonly random: Random
  readonly gateway: SimulatedGateway
  readonly stories: TaskStories
  readonly checkers: Checkers
  /** Where tasks name programs. */
  readonly codex: CodexChecker | undefined
  /** Most of a region, but for those that are the whole grid. */
  readonly regionSideMax: number
  readonly count: (what: string) => void
}

const RETRY_MS = 300
const SUBMITTER = { via: 'mqtt', client: 'tester' } as const
/** Of what reads neighbours: others write to them, in no order with it. */
const OTHER_SUBMITTER = { via: 'mqtt', client: 'other' } as const
/** What a client may be told at any time, and then tries again. */
const PASSING = ['no-node', 'overloaded', 'ledger-full', 'recovering', 'tile-missing']

/** One of so many tasks is sealed. */
const SEALED_EVERY = 5

/** One of so many tasks is of another operation than was drawn, and one a program, where there is a like one. */
const VARIED_EVERY = 3
/** Where programs have names, one of so many tasks names one. */
const CALLED_EVERY = 2
/** Cells that such a task names at most. */
const NAMED_MAX = 40

/** Share of tasks on the whole grid, where regions are bounded. */
const WHOLE_SHARE = 0.1

export class SimulatedClients {
  readonly #around: ClientSurroundings
  readonly #deadlines = new Set<number>()
  #tasks = 0
  /** Submissions that nobody has answered yet. */
  #open = 0
  /** Counts the ledgers: what was with an earlier one is over. */
  #era = 0

  constructor(around: ClientSurroundings) {
    this.#around = around
  }

  get isIdle(): boolean {
    return this.#open === 0
  }

  /** Submits a task now and then. */
  keepSubmitting(everyMs: number, untilMs: number): void {
    const { clock, random } = this.#around
    const submit = (): unknown => this.submit(this.#varied(this.#drawTask()))
    clock.keepDoing(submit, random, everyMs, untilMs)
  }

  write({ x, y, w, h }: PlainRegion): TaskStory {
    this.#tasks += 1
    return this.submit({
      id: `task-${this.#tasks}`,
      deadline_ms: this.#drawDeadline(),
      op: 'add',
      region: { x, y, w, h },
      args: { field: 'value', value: 1 },
    })
  }

  /** The ledger is gone, and with it what was asked and not answered. */
  startAnew(): void {
    this.#era += 1
    this.#open = 0
  }

  submit(plain: PlainTask): TaskStory {
    const { stories, checkers } = this.#around
    const story = stories.begin(plain, checkers.lastDone)
    this.#open += 1
    this.#attempt(story)
    return story
  }

  #attempt(story: TaskStory): void {
    const { gateway, clock, checkers, count } = this.#around
    let isAnswered = false
    const { life } = gateway
    const era = this.#era
    const submitter = story.plain.args?.steps === undefined ? SUBMITTER : OTHER_SUBMITTER
    const isSent = gateway.submit(story.payload, submitter, (outcome) => {
      isAnswered = true
      if (era !== this.#era) return
      if (outcome.ok) {
        checkers.acknowledged(story, outcome.task)
        this.#open -= 1
        this.#followUp(story)
      } else if (this.#isPassing(story, outcome.refusal.code)) {
        count(`refused-${outcome.refusal.code}`)
        clock.after(RETRY_MS, () => {
          if (era === this.#era) this.#attempt(story)
        })
      } else violated(`task ${story.plain.id} was refused: ${outcome.refusal.message}`)
    })
    clock.after(RETRY_MS, () => {
      if (isAnswered || era !== this.#era) return
      const isLost = !isSent || gateway.life !== life
      // Without an id nobody knows whether it was taken; to send it again could run it twice.
      if (isSent && isLost && story.plain.id === undefined) this.#open -= 1
      else if (isLost) this.#attempt(story)
      else this.#waitForAnswer(story, life, () => isAnswered)
    })
  }

  #isPassing({ call }: TaskStory, code: string): boolean {
    return PASSING.includes(code) || (call !== undefined && UNDEFINED.includes(code))
  }

  #waitForAnswer(story: TaskStory, life: number, isAnswered: () => boolean): void {
    const { gateway, clock } = this.#around
    const era = this.#era
    clock.after(RETRY_MS, () => {
      if (isAnswered() || era !== this.#era) return
      if (gateway.life === life) this.#waitForAnswer(story, life, isAnswered)
      else if (story.plain.id === undefined) this.#open -= 1
      else this.#attempt(story)
    })
  }

  #followUp(story: TaskStory): void {
    const { clock, random } = this.#around
    const draw = random.unit()
    const era = this.#era
    const later = (act: () => void): void => {
      clock.after(random.between(0, 2000), () => {
        if (era === this.#era) act()
      })
    }
    if (draw < 0.15) later(() => this.#cancel(story))
    else if (story.plain.id === undefined) return
    else if (draw < 0.3) later(() => this.repeat(story))
    else if (draw < 0.4) later(() => this.#contradict(story))
  }

  /** Sends it once more; the gateway knows it. */
  repeat(story: TaskStory): void {
    const { gateway, checkers, codex, count } = this.#around
    gateway.submit(story.payload, SUBMITTER, (outcome) => {
      if (!outcome.ok) violated(`a repeat was refused: ${outcome.refusal.message}`)
      checkers.acknowledged(story, outcome.task)
      count(codex?.isPatched(story) ? 'repeat-across-patch' : 'repeat')
    })
  }

  #contradict(story: TaskStory): void {
    const { gateway, count } = this.#around
    const asked = JSON.parse(Buffer.from(story.payload).toString()) as PlainTask
    const other = { ...asked, deadline_ms: asked.deadline_ms + 1_000_000 }
    gateway.submit(Buffer.from(JSON.stringify(other)), SUBMITTER, (outcome: Outcome) => {
      if (outcome.ok || outcome.refusal.code !== 'task-id-conflict') {
        violated(`task ${story.plain.id} was taken with another body`)
      }
      count('conflict')
    })
  }

  #cancel(story: TaskStory): void {
    const { gateway, count } = this.#around
    gateway.cancel(story.id as TaskId, SUBMITTER, (outcome) => {
      if (outcome.ok && story.state !== 'cancelled') {
        violated(`task ${story.id} was cancelled, and is ${story.state}`)
      }
      if (!outcome.ok && outcome.refusal.code !== 'too-late') {
        violated(`a cancel was refused: ${outcome.refusal.message}`)
      }
      count(outcome.ok ? 'cancelled' : 'cancel-too-late')
    })
  }

  #drawTask(): PlainTask {
    const { random } = this.#around
    this.#tasks += 1
    const id = random.unit() < 0.85 ? { id: `task-${this.#tasks}` } : {}
    // Not drawn: the others stay as they were.
    const seal = this.#tasks % SEALED_EVERY === 0 ? { seal: 'somebody' } : {}
    const head = { ...id, deadline_ms: this.#drawDeadline(), ...seal }
    const draw = random.unit()
    const region = this.#drawRegion()
    const number = (): number => 1 + random.integer(999)
    if (draw < 0.3) {
      return { ...head, op: 'add', region, args: { field: 'value', value: number() } }
    }
    if (draw < 0.36) {
      return { ...head, op: 'add', region, args: { field: 'level', value: random.integer(200) } }
    }
    if (draw < 0.44) {
      return { ...head, op: 'set', region, args: { fields: { value: -number() } } }
    }
    if (draw < 0.52) {
      const values = Array.from({ length: region.w * region.h }, number)
      return { ...head, op: 'put', region, args: { field: 'value', values } }
    }
    if (draw < 0.58) {
      return { ...head, op: 'scale', region, args: { fields: { level: random.integer(256) } } }
    }
    if (draw < 0.82) return { ...head, op: 'get', region }
    if (draw < 0.9) return { ...head, op: 'stat', region, args: { field: 'value' } }
    if (draw < 0.96) return { ...head, op: 'stat', region, args: { field: 'value', bins: 4 } }
    const items = Array.from({ length: 6 }, (_, index) => ({
      key: `key-${index}`,
      data: `${number()}`,
    }))
    return { ...head, op: 'digest', items }
  }

  /** Some of the tasks by another operation of the like. Not drawn: the others stay as they were. */
  #varied(task: PlainTask): PlainTask {
    const { op, region, args = {}, ...head } = task
    if (region === undefined) return task
    const { codex } = this.#around
    if (codex !== undefined && this.#tasks % CALLED_EVERY === 0) {
      return { ...head, region, ...codex.drawCall() }
    }
    if (this.#tasks % VARIED_EVERY === 1) {
      const writes = task.deadline_ms % 2 === 0 ? 'near' : 'write'
      const kind = op === 'get' || op === 'stat' ? 'read' : writes
      // Drawn from what is drawn already: the others stay as they were.
      const random = new Random(task.deadline_ms)
      const { grid } = this.#around
      return { ...head, op: 'program', region, args: drawProgram(kind, random, region, grid) }
    }
    if (this.#tasks % VARIED_EVERY !== 0) return task
    const cells = this.#someOf(region)
    if (op === 'set' || op === 'put') {
      const value = args.values?.[0] ?? (args.fields as { readonly value: number }).value
      const [x, y] = [cells.map(([column]) => column), cells.map(([, row]) => row)]
      const values = cells.map((_, index) => value + index)
      return { ...head, op: 'scatter', args: { field: 'value', x, y, values } }
    }
    if (op === 'get') return { ...head, op: 'gather', args: { field: 'value', cells } }
    if (op !== 'stat') return task
    const { tile } = this.#around.grid.geometry
    const step = [tile / 2, tile, 4 * tile][(this.#tasks / VARIED_EVERY) % 3]!
    return {
      ...head,
      op: 'overview',
      region,
      args: { field: 'value', step, of: ['mean', 'max'], holes: false },
    }
  }

  /** Two of its corners, and every other time cells in no line between them. */
  #someOf({ x, y, w, h }: PlainRegion): (readonly [x: number, y: number])[] {
    const ends = new Set([0, w * h - 1])
    const most = (this.#tasks / VARIED_EVERY) % 2 === 0 ? NAMED_MAX : 0
    for (let at = this.#tasks % 5; at < w * h && ends.size < most; at += 1 + (at % 11)) {
      ends.add(at)
    }
    return [...ends].map((at) => [x + (at % w), y + Math.floor(at / w)] as const)
  }

  /** Also what makes each task's body its own. */
  #drawDeadline(): number {
    const { random } = this.#around
    for (;;) {
      const isShort = random.unit() < 0.2
      const deadlineMs = isShort ? 1 + random.integer(1500) : 8000 + random.integer(12_000)
      if (this.#deadlines.has(deadlineMs)) continue
      this.#deadlines.add(deadlineMs)
      return deadlineMs
    }
  }

  #drawRegion(): PlainRegion {
    const { random, grid, regionSideMax } = this.#around
    const { width, height, whole } = grid.geometry
    const isBounded = regionSideMax < Math.max(width, height)
    if (isBounded && (this.#tasks === 1 || random.unit() < WHOLE_SHARE)) return whole
    const x = random.integer(width)
    const y = random.integer(height)
    const side = (room: number): number => 1 + random.integer(Math.min(room, regionSideMax))
    return { x, y, w: side(width - x), h: side(height - y) }
  }
}
