/** What the map has done to a region: tasks, and files that are taken in. */
import { untilAnswered } from '../../../shared/client/waits.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import type { Histogram } from '../parts/histogram.ts'
import { answerTo, ask, textOf } from '../session.ts'
import type { Cell } from './regions.ts'
import { pathOf } from './sources.ts'

export interface Statistics {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly mean: number
  readonly variance: number
  readonly histogram: Histogram
}

const BINS = 32
const WAIT_SECONDS = 30
/** A gateway that starts again is there after some seconds. */
const TRIES = 6
/** A file of 1 GiB over a slow network. */
const UPLOAD_MS = 86_400_000

export function stat(field: string, region: Region): Promise<Statistics> {
  return run<Statistics>({ op: 'stat', region, args: { field, bins: BINS } })
}

export async function set(field: string, region: Region, value: number): Promise<void> {
  await run({ op: 'set', region, args: { fields: { [field]: value } } })
}

/** How far a file has come. */
export interface Upload {
  readonly rows: number
  readonly rows_total?: number
  readonly lsus: number
}

/** The types of files that are taken, by the end of their names. */
export const FILE_TYPES: readonly (readonly [ending: string, type: string])[] = [
  ['.npy', 'application/x-npy'],
  ['.csv', 'text/csv'],
]
const LOOK_MS = 1_000

/** Nothing for a file that is not taken. */
export function fileType(name: string): string | undefined {
  return FILE_TYPES.find(([ending]) => name.toLowerCase().endsWith(ending))?.[1]
}

/** Puts a file into a field, its first cell at `at`. Throws what is to be shown. */
export async function upload(
  field: string,
  at: Cell,
  { file, onProgress }: { readonly file: File; onProgress(upload: Upload): void },
): Promise<Upload> {
  const type = fileType(file.name)
  if (type === undefined) throw new Error('a file whose name ends in .npy or .csv')
  const id = newId()
  const looking = setInterval(() => {
    ask<Upload>(`api/uploads/${id}`).then(onProgress, () => {})
  }, LOOK_MS)
  try {
    const path = pathOf(field, '', { ...at, id })
    const typed = file.slice(0, file.size, type)
    return await ask<Upload>(path, { method: 'PUT', file: typed, timeoutMs: UPLOAD_MS })
  } finally {
    clearInterval(looking)
  }
}

function newId(): string {
  return `page-${crypto.getRandomValues(new Uint32Array(3)).join('-')}`
}

interface Order {
  readonly op: string
  readonly region: Region
  readonly args: Readonly<Record<string, unknown>>
}

interface Outcome<T> {
  readonly state: string
  readonly value?: T
  readonly error?: { readonly message: string }
}

/** The value. It is done once, however often it has to be sent. Throws what is to be shown. */
async function run<T>(order: Order): Promise<T> {
  const id = newId()
  const path = `process?wait=${WAIT_SECONDS}s`
  for (;;) {
    let tries = 0
    const { status, body } = await untilAnswered(
      () => answerTo(path, { method: 'POST', body: { id, ...order } }),
      {
        onAway(error) {
          if (++tries === TRIES) throw error
        },
      },
    )
    if (status !== 200) continue
    const { state, value, error } = JSON.parse(textOf(body)) as Outcome<T>
    if (state === 'completed') return value as T
    throw new Error(error?.message ?? `the task is ${state}`)
  }
}
