/** What the gateway tells of the fleet, kept as signals: read when the stream opens, and changed by what comes with it. */
import { batch, computed, signal } from '@preact/signals'
import type { Region } from '../../shared/grid/geometry.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { DetectorView, MovesView } from '../../shared/protocol/views.ts'
import type { Happening, NodeRow, TaskRow } from './answers.ts'
import { Link } from './link.ts'
import { readNodes, takeNodes } from './nodes.ts'
import { ask, may } from './session.ts'

export const moves = signal<MovesView | undefined>(undefined)
const detector = signal<DetectorView>({ doubts: [] })
export const doubts = computed(() => detector.value.doubts)
/** The ledger is being rebuilt from the nodes. */
export const recovery = computed(() => detector.value.recovery)
/** Tiles that nobody has. */
export const missing = computed(() => detector.value.tiles_missing ?? 0)
/** The newest first. */
export const tasks = signal<readonly TaskRow[]>([])
/** The newest first. */
export const happenings = signal<readonly Happening[]>([])
/** Another one with each step of an upgrade. */
export const upgradeSteps = signal(0)
/** Whether what is shown is what the gateway has, and not the nothing of the beginning. */
export const isLoaded = signal(false)

const TASKS_KEPT = 200
const HAPPENINGS_KEPT = 500

export interface Write {
  /** Its place in the order. */
  readonly seq: number
  readonly ts: number
  readonly region: Region
}

/** Those that were told of, the newest first. */
export let writes: readonly Write[] = []
const WRITES_KEPT = 500

function takeWrite(one: Write): void {
  writes = [one, ...writes].slice(0, WRITES_KEPT)
}

type WriteListener = (region: Region | undefined) => void
const writeListeners = new Set<WriteListener>()

/** Called with the region of each write once it is seen by reads, and with nothing when any may have been. */
export function onWrite(listener: WriteListener): () => void {
  writeListeners.add(listener)
  return () => writeListeners.delete(listener)
}

const told = (region?: Region): void => {
  for (const listener of writeListeners) listener(region)
}

const link = new Link({
  async opened(isWhole, ts) {
    readTs = isWhole ? 0 : ts
    if (!isWhole) happenings.value = []
    const [list] = await Promise.all([
      isWhole ? undefined : ask<readonly TaskRow[]>(`api/tasks?limit=${TASKS_KEPT}`),
      may('read') ? readFleet() : undefined,
    ])
    batch(() => {
      if (list !== undefined) tasks.value = list
      isLoaded.value = true
    })
    if (!isWhole) told()
  },
  message(value) {
    switch (value.type) {
      case 'task-state':
        return takeTask(value as unknown as TaskRow)
      case 'cells':
        for (const region of value.regions as readonly Region[]) {
          takeWrite({ seq: Number(value.seq), ts: Number(value.ts), region })
          told(region)
        }
        return
      case 'event':
        return takeHappening(value as unknown as Happening)
      case 'nodes':
        return takeNodes(value.nodes as readonly (NodeRow & { removed?: true })[])
      case 'upgrade':
        upgradeSteps.value += 1
        return
      case 'moves':
        moves.value = value as unknown as MovesView
    }
  },
  missed() {
    void refresh()
    told()
  },
})

export function start(): void {
  link.start()
}

/** After something was changed from here, or missed. */
export async function refresh(): Promise<void> {
  try {
    const [list] = await Promise.all([
      ask<readonly TaskRow[]>(`api/tasks?limit=${TASKS_KEPT}`),
      may('read') ? readFleet() : undefined,
    ])
    tasks.value = list
  } catch {
    // The stream breaks as well, and all is read when it is back.
  }
}

async function readFleet(): Promise<void> {
  const [moving, seen] = await Promise.all([
    ask<MovesView>('api/ring/moves'),
    ask<DetectorView>('api/detector'),
    readNodes(),
  ])
  batch(() => {
    moves.value = moving
    detector.value = seen
  })
}

/** What of tasks happened before that, by the gateway's clock, was read. */
let readTs = 0

function takeTask(row: TaskRow): void {
  const { seq, ts, region } = row
  // Each of its states says so from then on.
  if (seq !== undefined && region !== undefined && !writes.some((one) => one.seq === seq)) {
    takeWrite({ seq, ts, region })
  }
  if (ts < readTs) return
  const known = tasks.peek().find(({ id }) => id === row.id)
  const times = {
    accepted_ts: known?.accepted_ts ?? row.ts,
    ...(isEnded(row.state) ? { ended_ts: known?.ended_ts ?? row.ts } : {}),
  }
  const task = { ...known, ...times, ...row }
  tasks.value =
    known === undefined
      ? [task, ...tasks.peek()].slice(0, TASKS_KEPT)
      : tasks.peek().map((one) => (one === known ? task : one))
  // From its place in the order on, whatever is read has it.
  if (row.seq !== undefined && known?.seq === undefined) told(row.region)
}

function takeHappening(happening: Happening): void {
  happenings.value = [happening, ...happenings.peek()].slice(0, HAPPENINGS_KEPT)
  if (TELLING.test(happening.code) && may('read')) void readDetector()
}

/** What the detector says comes and goes with these events. */
const TELLING = /^(doubt|recover|tiles?-|store-replaced)/

async function readDetector(): Promise<void> {
  const seen = await ask<DetectorView>('api/detector').catch(() => {})
  if (seen) detector.value = seen
}
