import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import type { GatewayClient } from '../../shared/client/http.ts'
import { own } from '../../shared/core/own.ts'
import { OPERATIONS_SHOWN } from '../../shared/operations/catalog.ts'
import type { OperationShown } from '../../shared/operations/operation.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { RingView, TaskView } from '../../shared/protocol/views.ts'
import { EXIT_DONE, EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import {
  type Asked,
  at,
  type CommandGroup,
  demand,
  type Flags,
  queryOf,
  show,
} from './command-place.ts'
import { type Patience, patiently } from './patience.ts'
import { type Colour, paint, printable, type Streams, table, when } from './streams.ts'
import {
  parseWait,
  RegionError,
  readTaskRequest,
  type SubmitFlags,
  type TaskRequest,
} from './task-request.ts'

/** One wait of many: short enough for any proxy between. */
const WAIT_STEP_SECONDS = 30
/** An error is not to wait for it for long. */
const GRID_MS = 1000
/** What an answer may take beyond the wait that it was asked for. */
const ANSWER_SLACK_MS = 10_000

const COLOUR_OF_STATE: Readonly<Record<string, Colour>> = {
  completed: 'green',
  failed: 'red',
  expired: 'red',
  cancelled: 'yellow',
  running: 'yellow',
}

export function addTaskCommands(obelisk: CommandGroup): void {
  const task = obelisk.group('task', 'submit tasks and look at them')
  task
    .asks('submit [op]', submit)
    .description('submit a task')
    .addHelpText('after', operationsHelp)
    .option('--region <x,y,w,h>', 'the LSUs it runs over (default: the whole grid)')
    .option('--args <json>', 'arguments of the operation')
    .option('--items <file>', 'items, as a JSON list or an object a line; - is the standard input')
    .option('--file <file>', 'the whole task, JSON or CBOR; - is the standard input')
    .option('--id <id>', 'its id (default: a random one)')
    .option('--deadline <seconds>', 'when it has to end, from now on')
    .option('--seal <recipient>', 'who alone can read its value (obelisk seal recipient ls)')
    .option(
      '--wait [seconds]',
      'wait for its end, without a number as long as that takes, and print the result',
    )
  task.asks('state <id>', showState).description('show how far a task is')
  task
    .asks('result <id>', showResult)
    .description('print the result of a task that has ended')
    .option('-o, --output <file>', 'write it to a file')
    .option('--cbor', 'as CBOR')
  task.asks('cancel <id>', cancel).description('cancel a task')
  task
    .asks('ls', list)
    .description('list tasks, the newest first')
    .option('--limit <n>', 'how many at most')
    .option('--state <state>', 'only those in this state')
}

type FormFlags = Flags<'output', 'cbor'>

export type WaitFlag = { readonly wait?: string | true }

export async function submit(
  asked: Asked<SubmitFlags & FormFlags & WaitFlag>,
  op?: string,
): Promise<number> {
  const { gateway, streams, flags } = asked
  const limitSeconds = parseWait(flags.wait)
  const { contentType, body } = await readRequest(asked, op)
  const request = { method: 'POST', path: '/process', contentType, body } as const
  const accepted = await gateway.json<{ id: string; state: string }>(request)
  const { id } = accepted
  if (flags.wait === undefined) return show(asked, accepted, `${id} ${accepted.state}\n`)
  const interrupted = `task ${id} goes on; this ends it: obelisk task cancel ${id}`
  const goesOn = `task ${id} goes on without us; this shows it: obelisk task state ${id}`
  return await patiently({ limitSeconds, streams, goesOn, interrupted }, async (patience) => {
    note(streams, `task ${id} accepted`)
    const state = await waitForEnd(gateway, id, patience)
    await patience.ask(() => printResult(asked, id))
    return exitCodeOf(state)
  })
}

async function showState(asked: Asked, id: string): Promise<number> {
  const view = await asked.gateway.json<TaskView>({ path: at`/api/tasks/${id}` })
  return show(asked, view, () => describe(view, asked.streams))
}

async function showResult(asked: Asked<FormFlags>, id: string): Promise<number> {
  const view = await asked.gateway.json<TaskView>({ path: at`/api/tasks/${id}` })
  await printResult(asked, id)
  return exitCodeOf(view.state)
}

async function cancel(asked: Asked, id: string): Promise<number> {
  const path = at`/api/tasks/${id}`
  const answer = await demand<{ id: string; state: string }>(asked.gateway, 'DELETE', path)
  return show(asked, answer, `${answer.id} ${answer.state}\n`)
}

async function list(asked: Asked<Flags<'limit' | 'state'>>): Promise<number> {
  const { gateway, streams, flags } = asked
  const query = queryOf({ limit: flags.limit, state: flags.state })
  const views = await gateway.json<TaskView[]>({ path: `/api/tasks?${query}` })
  const text = table(streams, views, [
    { title: 'ID', text: ({ id }) => id },
    { title: 'OP', text: ({ op }) => op },
    {
      title: 'STATE',
      text: ({ state }) => state,
      colour: ({ state }) => own(COLOUR_OF_STATE, state),
    },
    { title: 'DONE', text: ({ shards }) => `${shards.done}/${shards.total}` },
    { title: 'ACCEPTED', text: (view) => when(view.accepted_ts) },
  ])
  return show(asked, views, text)
}

/** Who mistakes the form of a region wants to know the grid, too; if it can be had. */
async function readRequest(
  { gateway, streams, flags }: Asked<SubmitFlags>,
  op: string | undefined,
): Promise<TaskRequest> {
  try {
    return await readTaskRequest(op, flags, streams, randomUUID)
  } catch (error) {
    if (!(error instanceof RegionError)) throw error
    const request = { path: '/api/ring', timeoutMs: GRID_MS }
    const ring = await gateway.json<RingView>(request).catch(() => undefined)
    throw ring === undefined ? error : error.of(ring.grid)
  }
}

async function waitForEnd(
  gateway: GatewayClient,
  id: string,
  patience: Patience,
): Promise<TaskView['state']> {
  while (true) {
    const view = await patience.ask((signal) => {
      const stepMs = Math.min(WAIT_STEP_SECONDS * 1000, Math.ceil(patience.leftMs))
      return gateway.json<TaskView>({
        path: at`/api/tasks/${id}?wait=${String(stepMs)}ms`,
        timeoutMs: stepMs + ANSWER_SLACK_MS,
        signal,
      })
    })
    if (isEnded(view.state)) return view.state
    if (patience.leftMs === 0) throw patience.over(`task ${id} is ${view.state}`)
  }
}

async function printResult(
  { gateway, streams, flags }: Asked<FormFlags>,
  id: string,
): Promise<void> {
  const accept = flags.cbor ? 'application/cbor' : 'application/json'
  const path = at`/api/tasks/${id}/result`
  const { body } = await gateway.request({ path, accept, timeoutMs: 6 * ANSWER_SLACK_MS })
  const content = flags.cbor || flags.json ? Buffer.from(body) : indented(body)
  const isLine = !flags.cbor && content.at(-1) !== 0x0a
  const bytes = isLine ? Buffer.concat([content, Buffer.from('\n')]) : content
  if (flags.output === undefined || flags.output === '-') {
    streams.stdout.write(bytes)
    return
  }
  try {
    await writeFile(flags.output, bytes)
  } catch (error) {
    const message = `${flags.output}: ${(error as Error).message}`
    throw fault('output-failed', message, error)
  }
  note(streams, `${bytes.length} bytes in ${flags.output}`)
}

function describe(view: TaskView, streams: Streams): string {
  const { state, shards, effect, error } = view
  const colour = own(COLOUR_OF_STATE, state)
  const lines: [string, string | undefined][] = [
    ['id', printable(view.id)],
    ['op', printable(view.op)],
    ['state', colour ? paint(streams, colour, state) : state],
    ['waits for', view.waiting_for && printable(view.waiting_for)],
    ['effect', effect],
    ['shards', `${shards.done} of ${shards.total} done, ${shards.failed} failed`],
    ['error', error && printable(`${error.code}: ${error.message}`)],
    ['accepted', when(view.accepted_ts)],
    ['ended', when(view.ended_ts) || undefined],
    ['deadline', when(view.deadline_ts) || undefined],
  ]
  return lines
    .filter(([, text]) => text !== undefined)
    .map(([name, text]) => `${name.padEnd(9)} ${text}\n`)
    .join('')
}

function note(streams: Streams, text: string): void {
  streams.stderr.write(`${printable(text)}\n`)
}

function exitCodeOf(state: TaskView['state']): number {
  return state === 'completed' ? EXIT_DONE : EXIT_FAILED
}

/** Lists of numbers stay on one line: a result of cells would be a line a cell. */
function indented(json: Uint8Array): Buffer {
  return Buffer.from(indentedText(JSON.parse(new TextDecoder().decode(json))))
}

export function indentedText(value: unknown): string {
  const text = JSON.stringify(value, null, 2)
  return text.replace(/\[\n\s+((?:[\d.eE+-]+|null)(?:,\n\s+(?:[\d.eE+-]+|null))*)\n\s+\]/g, joined)
}

function joined(_whole: string, numbers: string): string {
  return `[${numbers.replace(/,\n\s+/g, ', ')}]`
}

const WIDTH = Math.max(...OPERATIONS_SHOWN.map(({ op }) => op.length))

export function operationsHelp(): string {
  const lines = OPERATIONS_SHOWN.flatMap(({ op, does, args }) => [
    `  ${op.padEnd(WIDTH)}  ${does}`,
    ...(args.length === 0
      ? []
      : [`  ${''.padEnd(WIDTH)}  --args: ${args.map(wordsOf).join(', ')}`]),
  ])
  return `\nOperations:\n${lines.join('\n')}`
}

function wordsOf({ name, optional, choices }: OperationShown['args'][number]): string {
  const shown = choices === undefined ? name : `${name} (${choices.join(', ')})`
  return optional ? `[${shown}]` : shown
}
