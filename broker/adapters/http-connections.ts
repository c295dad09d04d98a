/**
 * The connections of the HTTP port. Each has one request worked on at a time, whatever it sends ahead
 * (RFC 9112 §9.3.2), and each request has a turn of the event loop to itself. A full house makes room
 * for the next one by closing whoever has been silent for longest: nothing asked, or not yet all of it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Turns } from './turns.ts'

export interface HttpConnectionBounds {
  readonly connectionsMax: number
  /** Requests of one connection that wait for the one before. */
  readonly aheadMax: number
  /** The same, over all connections. */
  readonly aheadTotalMax: number
}

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handler: HttpHandler
}

interface Connection {
  current: Exchange | undefined
  readonly ahead: Exchange[]
}

export class HttpConnections {
  readonly #bounds: HttpConnectionBounds
  readonly #turns: Turns
  readonly #onRefused: (reason: string) => void
  readonly #open = new Map<Socket, Connection>()
  /** The longest silent first. */
  readonly #silent = new Set<Socket>()
  #aheadTotal = 0

  constructor(bounds: HttpConnectionBounds, turns: Turns, onRefused: (reason: string) => void) {
    this.#bounds = bounds
    this.#turns = turns
    this.#onRefused = onRefused
  }

  accept(socket: Socket): void {
    if (this.#open.size >= this.#bounds.connectionsMax && !this.#makeRoom()) {
      this.#refuse(socket, 'connections-full')
      return
    }
    this.#open.set(socket, { current: undefined, ahead: [] })
    this.#silent.add(socket)
    socket.once('close', () => this.#forget(socket))
  }

  take(request: IncomingMessage, response: ServerResponse, handler: HttpHandler): void {
    const { socket } = request
    const connection = this.#open.get(socket)
    // What was sent ahead is read on for a while after the end.
    if (connection === undefined || socket.destroyed) {
      // Or Node ends each with an error of its own, and writes its stack.
      request.destroy()
      return
    }
    const exchange = { request, response, handler }
    if (connection.current === undefined) {
      this.#begin(socket, connection, exchange)
      return
    }
    const { aheadMax, aheadTotalMax } = this.#bounds
    if (connection.ahead.length >= aheadMax || this.#aheadTotal >= aheadTotalMax) {
      for (const each of [...connection.ahead, exchange]) each.request.destroy()
      this.#refuse(socket, 'requests-ahead')
      return
    }
    connection.ahead.push(exchange)
    this.#aheadTotal += 1
  }

  #begin(socket: Socket, connection: Connection, exchange: Exchange): void {
    const { request, response, handler } = exchange
    connection.current = exchange
    const isAsked = (): void => {
      // The rest of a body may come after the answer: a connection with nothing asked stays silent.
      if (connection.current === exchange) this.#silent.delete(socket)
    }
    if (hasBody(request)) request.once('end', isAsked)
    else isAsked()
    response.once('close', () => this.#next(socket, connection))
    this.#turns.take(() => {
      if (!socket.destroyed) handler(request, response)
    })
  }

  #next(socket: Socket, connection: Connection): void {
    connection.current = undefined
    if (!this.#open.has(socket)) return
    const exchange = connection.ahead.shift()
    if (exchange === undefined) {
      this.#silent.delete(socket)
      this.#silent.add(socket)
      return
    }
    this.#aheadTotal -= 1
    this.#begin(socket, connection, exchange)
  }

  #makeRoom(): boolean {
    const [longest] = this.#silent
    if (longest === undefined) return false
    this.#refuse(longest, 'silent')
    return true
  }

  #refuse(socket: Socket, reason: string): void {
    this.#onRefused(reason)
    this.#forget(socket)
    socket.destroy()
  }

  #forget(socket: Socket): void {
    this.#aheadTotal -= this.#open.get(socket)?.ahead.length ?? 0
    this.#open.delete(socket)
    this.#silent.delete(socket)
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}
