/** The body of `task submit`, from its flags or from a file. */
import { isId } from '../../shared/core/ids.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { AppError, EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import { type Flags, given } from './command-place.ts'
import type { Streams } from './streams.ts'
import { inputOf } from './typed-input.ts'

export type SubmitFlags = Flags<'region' | 'args' | 'items' | 'file' | 'id' | 'deadline' | 'seal'>

export interface TaskRequest {
  readonly contentType: 'application/json' | 'application/cbor'
  readonly body: Uint8Array
}

/** Before anything is asked of a gateway: of a node, a user, a recipient. */
export function assertName(name: string, of: string): void {
  if (isId(name)) return
  throw usage(`"${name}" is no name of ${of}: letters, digits, - and _, 64 at most`)
}

/** Of a region that is none, whatever the size of the grid, which only the gateway knows. */
export class RegionError extends AppError {
  constructor(text: string) {
    const message = `--region: "${text}" is not x,y,w,h: four whole numbers from 0`
    super('usage', message, { exitCode: EXIT_USAGE })
  }

  of({ width, height }: { readonly width: number; readonly height: number }): AppError {
    return usage(`${this.message}, in a grid of ${width}x${height}`)
  }
}

/** Without an id a client that sends twice may run a task twice; `newId` makes one. */
export async function readTaskRequest(
  op: string | undefined,
  flags: SubmitFlags,
  streams: Streams,
  newId: () => string,
): Promise<TaskRequest> {
  const { region, args, items, id, deadline, seal } = flags
  if (flags.file !== undefined) {
    if ([op, region, args, items, id, deadline, seal].some((value) => value !== undefined)) {
      throw usage('--file holds the whole task: no operation and no other flags of it')
    }
    const body = await inputOf(flags.file, streams)
    return { contentType: isText(body) ? 'application/json' : 'application/cbor', body }
  }
  if (op === undefined) throw usage('name an operation, or a file with --file')
  const task = {
    id: id ?? newId(),
    op,
    region: given(region, parseRegion),
    args: given(args, (text) => parseJson(text, '--args')),
    items: items === undefined ? undefined : parseItems(await inputOf(items, streams)),
    deadline_ms: given(deadline, parseDeadline),
    seal,
  }
  return { contentType: 'application/json', body: Buffer.from(JSON.stringify(task)) }
}

/** A CBOR map never begins with white space or a brace. */
function isText(body: Buffer): boolean {
  const first = body.find((byte) => ![0x20, 0x09, 0x0a, 0x0d].includes(byte))
  return first === undefined || first === 0x7b
}

function parseRegion(text: string): Region {
  const region = regionIn(text)
  if (region === undefined) throw new RegionError(text)
  return region
}

/** `x,y,w,h`, whatever the size of the grid; nothing if it is none. */
export function regionIn(text: string): Region | undefined {
  if (!/^\d{1,9}(,\d{1,9}){3}$/.test(text)) return undefined
  const [x = 0, y = 0, w = 0, h = 0] = text.split(',').map(Number)
  return { x, y, w, h }
}

function parseJson(text: string, label: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw usage(`${label}: not JSON: ${messageOf(error)}`)
  }
}

/** A JSON list, or one JSON object a line. */
function parseItems(content: Buffer): unknown {
  const text = content.toString('utf8').trim()
  if (text.startsWith('[')) return parseJson(text, '--items')
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line, index) => parseJson(line, `--items, line ${index + 1}`))
}

function parseDeadline(text: string): number {
  const seconds = parseSeconds(text, '--deadline')
  return Math.round(seconds * 1000)
}

/** Of a wait without a number: until what it waits for ends. */
export function parseWait(wait: string | true | undefined): number {
  return typeof wait === 'string' ? parseSeconds(wait, '--wait') : Number.POSITIVE_INFINITY
}

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Of `90m`, `12h` or `7d`, milliseconds; nothing if it is no such time. */
export function durationIn(text: string): number | undefined {
  const match = /^(\d{1,9}(?:\.\d+)?)([smhd])$/.exec(text)
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]
}

export function parseSeconds(text: string, label: string): number {
  const match = /^(\d+(?:\.\d+)?)s?$/.exec(text)
  const seconds = match ? Number(match[1]) : 0
  if (!(seconds > 0)) throw usage(`${label}: "${text}" is not a number of seconds above 0`)
  return seconds
}
