/** Fields to and from files: `grid get`, `grid put` and `grid png`. */
import { closeSync, createReadStream, existsSync, fstatSync, openSync } from 'node:fs'
import { extname } from 'node:path'
import { Readable } from 'node:stream'
import { jsonOf } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { pause } from '../../shared/client/waits.ts'
import { count } from '../../shared/core/count.ts'
import { isTaskId, randomId } from '../../shared/core/ids.ts'
import { own } from '../../shared/core/own.ts'
import { COLOUR_MAPS } from '../../shared/grid/colours.ts'
import { NPY_MAGIC } from '../../shared/grid/npy.ts'
import type { NodeView } from '../../shared/protocol/views.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import { fault, usage } from '../fault.ts'
import { faultOf, inWords } from '../path-faults.ts'
import { partialOf, writeWholeFrom } from '../whole-file.ts'
import { type Asked, at, type CommandGroup, type Flags, say } from './command-place.ts'
import { interruptible } from './interruption.ts'
import { type Streams, written } from './streams.ts'

/** A gigabyte, over a slow link. */
const TRANSFER_MS = 4 * 3_600_000
const PICTURE_MS = 60_000
/** Who waits longer wants to know for what. */
const QUIET_MS = 2000
const FILE_MODE = 0o666
const FILE_BYTES_MAX = 2 ** 30
/** What the gateway says of a file that came too slowly… */
const TOO_SLOW = 408
/** …and of one whose tasks were all taken, but not all of them done. */
const NOT_DONE = 'upload-failed'
/** What is not taken again under its id. */
const OTHER_ID = [NOT_DONE, 'task-id-conflict']

const TYPES: Readonly<Record<string, string>> = {
  npy: 'application/x-npy',
  csv: 'text/csv',
}
/** The standard input, or the standard output, which is CSV unless `--format` says what else. */
const STANDARD = '-'

type RegionFlag = Flags<'region'>

type FormatFlag = Flags<'format'>

interface UploadAnswer {
  readonly id: string
  readonly lsus: number
  readonly tasks: number
  readonly failed: number
}

const FORMAT = 'npy or csv, if the name of the file does not say it (default: csv)'

export function addGridCommands(obelisk: CommandGroup): void {
  const grid = obelisk.group('grid', 'fields to and from files, and as pictures')
  grid
    .asks('get <field> <file>', getGrid)
    .description(
      'fetch the cells of a field into a .npy or .csv file, or - for the standard output',
    )
    .option('--format <format>', FORMAT)
    .option('--region <x,y,w,h>', 'a part of the grid')
  grid
    .asks('put <field> <file>', putGrid)
    .description('write a .npy or .csv file into a field, or - for the standard input')
    .option('--format <format>', FORMAT)
    .option('--region <x,y>', 'where its first cell goes (default: 0,0)')
    .option('--resume <id>', 'send a file again of which a part may have been taken')
  grid
    .asks('png <field> <file>', drawGrid)
    .description('draw a field as a picture, into a file or - for the standard output')
    .option('--region <x,y,w,h>', 'a part of the grid')
    .option('--size <pixels>', 'at most so wide and so high (default: 512), and 262,144 in all')
    .option('--colours <name>', 'viridis, cividis, magma, grey or change (default: viridis)')
}

/** `grid get`. */
async function getGrid(
  asked: Asked<RegionFlag & FormatFlag>,
  field: string,
  file: string,
): Promise<number> {
  const { format } = formatOf(file, 'get', asked.flags)
  const query = new URLSearchParams(regionOf(asked.flags, 4))
  return await fetchInto(asked, file, {
    path: `${at`/api/grid/${field}.${format}`}?${query}`,
    timeoutMs: TRANSFER_MS,
    isText: format === 'csv',
  })
}

/** `grid png`. */
async function drawGrid(
  asked: Asked<RegionFlag & { readonly size?: string; readonly colours?: string }>,
  field: string,
  file: string,
): Promise<number> {
  const { size = '512', colours = 'viridis' } = asked.flags
  if (!/^[1-9]\d{0,3}$/.test(size))
    throw usage(`--size: "${size}" is no number of pixels from 1 to 9999`)
  if (!COLOUR_MAPS.some((name) => name === colours)) {
    throw usage(`--colours: "${colours}" is none of ${COLOUR_MAPS.join(', ')}`)
  }
  const query = new URLSearchParams([
    ...regionOf(asked.flags, 4),
    ...Object.entries({ width: size, height: size, colours }),
  ])
  return await fetchInto(asked, file, {
    path: `${at`/api/grid/${field}.png`}?${query}`,
    timeoutMs: PICTURE_MS,
    isText: false,
  })
}

interface Fetched {
  readonly path: string
  readonly timeoutMs: number
  readonly isText: boolean
}

async function fetchInto(
  { gateway, streams: { stdout, stderr } }: Asked,
  file: string,
  { isText, ...question }: Fetched,
): Promise<number> {
  const isPiped = file === STANDARD
  if (isPiped && stdout.isTTY && !isText) {
    throw usage('what a terminal would be given is bytes: name a file, or send them on with | or >')
  }
  const temporary = partialOf(file)
  if (!isPiped && existsSync(temporary))
    throw usage(`${temporary} is in the way: move it, or name another file`)
  const timeout = AbortSignal.timeout(question.timeoutMs)
  let bytes = 0
  let head: { readonly columns: number; readonly rows: number }
  try {
    const answer = await gateway.open({ ...question, accept: '*/*' }, timeout)
    // Whatever else answers has nothing for a file.
    head = jsonOf<typeof head>(answer.headers.get('x-overview') ?? '')
    const chunks = chunksOf(answer, gateway.address)
    if (!isPiped) {
      bytes = await writeWholeFrom(file, chunks, FILE_MODE & ~process.umask(), temporary)
    } else {
      for await (const chunk of chunks) {
        await written(stdout, chunk)
        bytes += chunk.length
      }
    }
  } catch (error) {
    if (!timeout.aborted) throw faultOf(error, file, 'changed')
    const detail = `no whole answer from ${gateway.address} within ${question.timeoutMs / 1000} s`
    throw new ObeliskError({ code: 'timed-out', detail, cause: error })
  }
  const { columns, rows } = head
  const said = isPiped ? stderr : stdout
  const name = isPiped ? 'standard output' : file
  said.write(`${name}: ${columns} × ${rows}, ${bytes} bytes\n`)
  return EXIT_DONE
}

/** As it comes; one that does not come whole is no answer. */
async function* chunksOf({ body }: Response, address: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body ?? []) yield chunk as Uint8Array
  } catch (cause) {
    const detail = `the answer of ${address} was cut off`
    throw new ObeliskError({ code: 'unreachable', detail, cause })
  }
}

/** `grid put`. */
async function putGrid(
  asked: Asked<RegionFlag & FormatFlag & { readonly resume?: string }>,
  field: string,
  file: string,
): Promise<number> {
  const { gateway, streams, flags } = asked
  const { resume = randomId(new SystemRandom()) } = flags
  if (!isTaskId(resume)) throw usage(`--resume: "${resume}" is no id of an upload`)
  const query = new URLSearchParams([...regionOf(flags, 2), ['id', resume]])
  const { type } = formatOf(file, 'put', flags)
  const isPiped = file === STANDARD
  const name = isPiped ? 'the standard input' : file
  const { body, contentType, headers } = isPiped
    ? await pipedIn(streams, flags.format === undefined ? undefined : type)
    : { ...contentOf(file), contentType: type }
  const answered = new AbortController()
  tellWait(asked, answered.signal).catch(() => {})
  try {
    const answer = await interruptible(`a part of ${name} may be written`, (signal) =>
      gateway.json<UploadAnswer>({
        method: 'PUT',
        path: `${at`/api/grid/${field}`}?${query}`,
        ...{ body, contentType, headers, signal },
        timeoutMs: TRANSFER_MS,
      }),
    )
    const text = `${answer.lsus} cells of ${field} written by ${count(answer.tasks, 'task')}, ${answer.id}`
    return say(asked, answer, text)
  } catch (error) {
    if (isRecognised(error)) streams.stderr.write(`to send it again: --resume ${resume}\n`)
    throw error instanceof ObeliskError && error.code === NOT_DONE ? notDone(error) : error
  } finally {
    answered.abort()
  }
}

/** Where no node is alive the gateway waits for one, and has no answer until then. */
async function tellWait({ gateway, streams }: Asked, signal: AbortSignal): Promise<void> {
  await pause(QUIET_MS, signal)
  const nodes = await gateway.json<NodeView[]>({ path: '/api/nodes', signal })
  if (nodes.some(({ state }) => state === 'alive')) return
  streams.stderr.write('no node is alive: the file waits for one\n')
}

/** A part of it may have been taken, or was, and the same file, or a mended one, may be the next time. */
function isRecognised(error: unknown): boolean {
  if (!(error instanceof ObeliskError)) return true
  if (error.isPassing || error.status === TOO_SLOW) return true
  const { tasks = 0 } = answerOf(error)
  return tasks > 0 && !OTHER_ID.includes(error.code)
}

/** The gateway speaks of its paths. */
function notDone(error: ObeliskError): ObeliskError {
  const { code, status } = error
  const { id, failed, tasks = 0 } = answerOf(error)
  const detail = `${failed} of ${count(tasks, 'task')} of it failed: obelisk task state ${id}-0 and so on say why; send it again without --resume`
  return new ObeliskError({ code, detail, status, cause: error })
}

function answerOf({ answer = {} }: ObeliskError): Partial<UploadAnswer> {
  return answer
}

function formatOf(
  file: string,
  what: string,
  { format: given }: FormatFlag,
): { readonly format: string; readonly type: string } {
  const format =
    given ?? (file === STANDARD ? 'csv' : extname(file).toLowerCase().replace(/^\./, ''))
  const type = own(TYPES, format)
  if (type !== undefined) return { format, type }
  const names = Object.keys(TYPES)
  if (given !== undefined) throw usage(`--format: "${given}" is none of ${names.join(', ')}`)
  const tiff =
    format === 'tif' || format === 'tiff' ? '; TIFF is not read here, save it as .npy' : ''
  const taken = names.map((name) => `.${name}`).join(' or ')
  throw usage(`grid ${what} takes files that end in ${taken}, and not "${file}"${tiff}`)
}

interface Content {
  readonly body: ReadableStream<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
}

function webStream(source: AsyncIterable<Uint8Array | string>): ReadableStream<Uint8Array> {
  const stream = source instanceof Readable ? source : Readable.from(source)
  return Readable.toWeb(stream) as ReadableStream<Uint8Array>
}

/** Unless it is said what comes: CSV, or what no CSV begins with. */
async function pipedIn(
  { stdin }: Streams,
  type: string | undefined,
): Promise<Content & { readonly contentType: string }> {
  const chunks = stdin[Symbol.asyncIterator]()
  let first = Buffer.alloc(0)
  while (first.length < NPY_MAGIC.length) {
    const { done, value } = await chunks.next()
    if (done === true) break
    first = Buffer.concat([first, Buffer.from(value as Uint8Array)])
  }
  const isNpy = NPY_MAGIC.every((byte, at) => first[at] === byte)
  const whole = async function* (): AsyncGenerator<Uint8Array | string> {
    yield first
    yield* { [Symbol.asyncIterator]: () => chunks }
  }
  return { body: webStream(whole()), contentType: type ?? own(TYPES, isNpy ? 'npy' : 'csv')! }
}

/** Read as it goes. */
function contentOf(file: string): Content {
  const descriptor = inWords(file, 'looked at', () => openSync(file, 'r'))
  const status = fstatSync(descriptor)
  const bytes = status.size
  if (status.isFile() && bytes <= FILE_BYTES_MAX) {
    // The stream closes it.
    const stream = createReadStream(file, { fd: descriptor })
    return { body: webStream(stream), headers: { 'content-length': String(bytes) } }
  }
  closeSync(descriptor)
  if (!status.isFile()) {
    const message = `${file} is no file that could be sent`
    throw fault('file-unsuitable', message)
  }
  const message = `${file} has ${bytes} bytes, and at most 1 GiB is taken: cut it, and give each part its --region x,y`
  throw fault('file-unsuitable', message)
}

/** `x,y` or `x,y,w,h`. */
function regionOf({ region: text }: RegionFlag, countLeast: 2 | 4): [string, string][] {
  if (text === undefined) return []
  const sides = text.split(',')
  const isWhole = sides.every((side) => /^\d{1,6}$/.test(side))
  if (!isWhole || sides.length > 4 || sides.length < countLeast || sides.length === 3) {
    const form = countLeast === 2 ? 'x,y or x,y,w,h' : 'x,y,w,h'
    throw usage(`--region: "${text}" is not ${form}`)
  }
  return sides.map((side, index) => [['x', 'y', 'w', 'h'][index]!, side])
}
