/** Lines of the logs of boards, asked for on their connections by who may: past the coordinator, which knows nothing of them. */
import type { NodeId } from '../shared/core/ids.ts'
import type { LogLines, LogOrder } from '../shared/protocol/log-messages.ts'
import { readPayload } from '../shared/protocol/payload.ts'
import { isPlainObject } from '../shared/protocol/problems.ts'
import type { LogView } from '../shared/protocol/views.ts'
import { AppError } from '../shared/runtime/errors.ts'
import type { LogPort, LogWish } from './adapters/http-port.ts'
import type { ConnectionId } from './core/events.ts'

export interface NodeLogsOptions {
  /** Questions that wait for a board. */
  readonly openMax: number
  /** For one piece. */
  readonly timeoutMs: number
}

export interface NodeLogsPort {
  /** How a node is reached that is here, and whether its agent gives its log. */
  wayTo(node: NodeId): { readonly connection: ConnectionId; readonly givesLog: boolean } | undefined
  send(connection: ConnectionId, message: LogOrder): void
}

const OPTIONS: NodeLogsOptions = { openMax: 32, timeoutMs: 5000 }
/** A board that has more to say than it keeps is not heard to the end. */
const PIECES_MAX = 8
const ELSEWHERE = 'its journal is on the board: journalctl -u obelisk-agent'

interface Open {
  readonly connection: ConnectionId
  readonly answered: (lines: LogLines) => void
}

export class NodeLogs implements LogPort {
  readonly #options: NodeLogsOptions
  readonly #port: NodeLogsPort
  readonly #open = new Map<number, Open>()
  #asked = 0

  constructor(port: NodeLogsPort, options: NodeLogsOptions = OPTIONS) {
    this.#port = port
    this.#options = options
  }

  async read(node: NodeId, { lines: wanted, level, after }: LogWish): Promise<LogView> {
    const lines: Record<string, unknown>[] = []
    let next = after
    let left = 0
    for (let pieces = 0; pieces < PIECES_MAX; pieces += 1) {
      const order = { t: 'log', lines: wanted - lines.length, level } as const
      const piece = await this.#ask(node, next === undefined ? order : { ...order, after: next })
      lines.push(...linesOf(piece).slice(0, order.lines))
      next = piece.next
      left += piece.left
      if (piece.unread === 0 || lines.length === wanted) break
    }
    return { lines, next: next!, left }
  }

  /** What came on a connection; nobody may have asked. */
  take(connection: ConnectionId, lines: LogLines): void {
    const open = this.#open.get(lines.ask)
    if (open?.connection === connection) open.answered(lines)
  }

  #ask(node: NodeId, order: Omit<LogOrder, 'ask'>): Promise<LogLines> {
    const way = this.#port.wayTo(node)
    if (way === undefined) {
      throw new AppError('node-away', `node "${node}" is not connected; ${ELSEWHERE}`)
    }
    const { connection, givesLog } = way
    if (!givesLog) {
      throw new AppError('log-not-kept', `the agent of node "${node}" keeps no log; ${ELSEWHERE}`)
    }
    const { openMax, timeoutMs } = this.#options
    if (this.#open.size >= openMax) {
      throw new AppError('overloaded', `${openMax} questions for logs wait for their answers`)
    }
    this.#asked += 1
    const ask = this.#asked
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#open.delete(ask)
        const message = `node "${node}" gave no answer within ${timeoutMs / 1000} s; ${ELSEWHERE}`
        reject(new AppError('node-away', message))
      }, timeoutMs)
      const answered = (lines: LogLines): void => {
        clearTimeout(timer)
        this.#open.delete(ask)
        resolve(lines)
      }
      this.#open.set(ask, { connection, answered })
      this.#port.send(connection, { ...order, ask })
    })
  }
}

/** Whatever a board sends, these are objects that can be walked through; what is no such line is left out. */
function linesOf({ lines }: LogLines): Record<string, unknown>[] {
  const text = Buffer.from(lines).toString()
  return text.split('\n').flatMap((line) => {
    const { kind, value } = readPayload('', Buffer.from(line))
    return kind === 'json' && isPlainObject(value) ? [value] : []
  })
}
