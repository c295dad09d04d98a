/**
 * The connections of the HTTP port. Each has one request worked on at a time, whatever it sends ahead
 * (RFC 9112 §9.3.2), and each request has a turn of the event loop to itself. A full house makes room
 * for the next one by closing whoever has been silent for longest: nothing asked, or not yet all of it;
 * then whoever has taken nothing of his answer for longest; then whoever may wait long to be told what
 * can be asked for again.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { AnswersHeld } from './http-answers.ts'
import type { Turns } from './turns.ts'

export interface HttpConnectionBounds {
  readonly connectionsMax: number
  /** Requests of one connection that wait for the one before. */
  readonly aheadMax: number
  /** The same, over all connections; beyond, the one with most of them is closed. */
  readonly aheadTotalMax: number
  /** From its turn on, so long the body of a request may take to come, whether anybody reads it or not. */
  readonly bodyComesMs: number
  /**
   * How long a reader may take nothing of his answer. Not short: a kernel takes no more of it until a third of its
   * own buffer, which grows to megabytes, is free, and that lasts minutes on a slow link.
   */
  readonly answerStallMs: number
  /** After so long he is closed where there is no room for somebody else. */
  readonly answerStallLeastMs: number
  /** Of large answers that wait for their readers, over all connections; one alone may be larger. */
  readonly answersBytesMax: number
}

export type HttpSocket = Duplex & { readonly bytesWritten: number }

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handler: HttpHandler
}

interface Connection {
  current: Exchange | undefined
  readonly ahead: Exchange[]
  /** Until the body of the last request has come. */
  slow: NodeJS.Timeout | undefined
  /** A large one that is on its way. */
  answer: Buffer | undefined
  /** Bytes of answers that were given to the socket, and since when it is no more. */
  given: number
  givenMs: number
}

/** How often it is looked whether answers are taken. */
const LOOK_MS = 1000

export class HttpConnections {
  readonly #bounds: HttpConnectionBounds
  readonly #turns: Turns
  readonly #onRefused: (reason: string) => void
  readonly #open = new Map<HttpSocket, Connection>()
  /** The longest silent first. */
  readonly #silent = new Set<HttpSocket>()
  /** Those that lose nothing when they are closed, the longest first. */
  readonly #mayClose = new Set<HttpSocket>()
  readonly #answers = new AnswersHeld()
  readonly #looking: NodeJS.Timeout
  #aheadTotal = 0
  #lookedMs = performance.now()

  constructor(bounds: HttpConnectionBounds, turns: Turns, onRefused: (reason: string) => void) {
    this.#bounds = bounds
    this.#turns = turns
    this.#onRefused = onRefused
    const lookMs = Math.min(LOOK_MS, bounds.answerStallMs)
    this.#looking = setInterval(() => this.#endStalled(), lookMs).unref()
  }

  close(): void {
    clearInterval(this.#looking)
  }

  accept(socket: HttpSocket): void {
    if (this.#open.size >= this.#bounds.connectionsMax && !this.#makeRoom()) {
      this.#refuse(socket, 'connections-full')
      return
    }
    this.#open.set(socket, {
      current: undefined,
      ahead: [],
      slow: undefined,
      answer: undefined,
      given: 0,
      givenMs: performance.now(),
    })
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
    connection.ahead.push(exchange)
    this.#aheadTotal += 1
    const { aheadMax, aheadTotalMax } = this.#bounds
    if (connection.ahead.length > aheadMax) this.#refuseAhead(socket, connection)
    else if (this.#aheadTotal > aheadTotalMax) {
      const [most] = [...this.#open].sort(([, a], [, b]) => b.ahead.length - a.ahead.length)
      this.#refuseAhead(...most!)
    }
  }

  #refuseAhead(socket: HttpSocket, { ahead }: Connection): void {
    for (const { request } of ahead) request.destroy()
    this.#refuse(socket, 'requests-ahead')
  }

  /** What this one asks for now may take long, and can be asked for again. */
  mayClose(socket: HttpSocket): void {
    if (this.#open.has(socket)) this.#mayClose.add(socket)
  }

  /** What this one brings is used as it comes, and whoever uses it sees that it does: it is not silent, nor slow. */
  isWorking(socket: HttpSocket): void {
    this.#silent.delete(socket)
    clearTimeout(this.#open.get(socket)?.slow)
  }

  /** Counts a large answer until its reader has it; false if the reader has gone. */
  holdAnswer(socket: HttpSocket, answer: Buffer): boolean {
    const connection = this.#open.get(socket)
    if (connection === undefined) return false
    this.#releaseAnswer(connection)
    connection.answer = answer
    this.#answers.add(answer)
    while (this.#answers.bytes > this.#bounds.answersBytesMax) {
      const [longest] = this.#answering().filter(([other]) => other !== socket)
      if (longest === undefined) break
      this.#refuse(longest[0], 'answers-full')
    }
    return true
  }

  #begin(socket: HttpSocket, connection: Connection, exchange: Exchange): void {
    const { request, response, handler } = exchange
    connection.current = exchange
    const isAsked = (): void => {
      // The rest of a body may come after the answer: a connection with nothing asked stays silent.
      if (connection.current === exchange) this.#silent.delete(socket)
    }
    if (hasBody(request)) {
      const slow = setTimeout(() => {
        if (!request.complete) this.#refuse(socket, 'slow-body')
      }, this.#bounds.bodyComesMs)
      connection.slow = slow
      request.once('end', () => {
        clearTimeout(slow)
        isAsked()
      })
    } else isAsked()
    response.once('close', () => this.#next(socket, connection))
    this.#turns.take(() => {
      if (!socket.destroyed) handler(request, response)
    })
  }

  #next(socket: HttpSocket, connection: Connection): void {
    connection.current = undefined
    this.#mayClose.delete(socket)
    this.#releaseAnswer(connection)
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
    const [silent] = this.#silent
    const [unread] = silent === undefined ? this.#stalledFor(this.#bounds.answerStallLeastMs) : []
    const waiting = [...this.#mayClose].find((socket) => !isAnswering(this.#open.get(socket)!))
    const longest = silent ?? unread ?? waiting
    if (longest === undefined) return false
    this.#refuse(longest, longest === unread ? 'unread' : 'silent')
    return true
  }

  #stalledFor(ms: number): HttpSocket[] {
    const answering = this.#answering()
    const sinceMs = performance.now() - ms
    return answering.filter(([, { givenMs }]) => givenMs <= sinceMs).map(([socket]) => socket)
  }

  /** Those with an answer on its way, the one that has taken nothing for longest first. */
  #answering(): [HttpSocket, Connection][] {
    const nowMs = performance.now()
    const answering = [...this.#open].filter(([, connection]) => isAnswering(connection))
    for (const [socket, connection] of answering) {
      const given = socket.bytesWritten
      if (given === connection.given) continue
      connection.given = given
      connection.givenMs = nowMs
    }
    return answering.sort(([, a], [, b]) => a.givenMs - b.givenMs)
  }

  #endStalled(): void {
    const nowMs = performance.now()
    const lateMs = nowMs - this.#lookedMs - 2 * LOOK_MS
    this.#lookedMs = nowMs
    if (lateMs > 0) {
      // We stood still, and not they.
      for (const connection of this.#open.values()) connection.givenMs = nowMs
      return
    }
    for (const socket of this.#stalledFor(this.#bounds.answerStallMs))
      this.#refuse(socket, 'unread')
  }

  #refuse(socket: HttpSocket, reason: string): void {
    this.#onRefused(reason)
    this.#forget(socket)
    socket.destroy()
  }

  #forget(socket: HttpSocket): void {
    const connection = this.#open.get(socket)
    if (connection === undefined) return
    this.#aheadTotal -= connection.ahead.length
    clearTimeout(connection.slow)
    this.#releaseAnswer(connection)
    this.#open.delete(socket)
    this.#silent.delete(socket)
    this.#mayClose.delete(socket)
  }

  #releaseAnswer(connection: Connection): void {
    if (connection.answer !== undefined) this.#answers.remove(connection.answer)
    connection.answer = undefined
  }
}

function isAnswering({ current, answer }: Connection): boolean {
  return answer !== undefined || current?.response.writableEnded === true
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}
