/**
 * The bodies of requests, from their first byte until it is their turn to be looked at. Together they take
 * so much memory and no more: beyond, the one that has brought nothing for longest is refused. Nothing of
 * it was done, so it can be sent again.
 */
import type { IncomingMessage } from 'node:http'
import { SUBMISSION_BYTES_MAX } from '../../shared/protocol/limits.ts'
import type { ProblemAnswer } from './problem-json.ts'
import type { Turns } from './turns.ts'

export class BodyRefused extends Error {
  readonly problem: ProblemAnswer

  constructor(problem: ProblemAnswer) {
    super(problem.detail)
    this.problem = problem
  }
}

const NOTHING = Buffer.alloc(0)

const TOO_LARGE: ProblemAnswer = {
  status: 413,
  code: 'too-large',
  detail: `a body has at most ${SUBMISSION_BYTES_MAX} bytes`,
}

const CROWDED: ProblemAnswer = {
  status: 503,
  code: 'overloaded',
  detail: 'too much is being sent, and this has brought nothing for longest: send it again, later',
}

const SLOW: ProblemAnswer = {
  status: 408,
  code: 'malformed',
  detail: 'the body took too long to arrive',
}

const CUT_OFF: ProblemAnswer = { status: 400, code: 'malformed', detail: 'the body was cut off' }

interface Body {
  /** One piece of memory: bytes that come one by one would take hundreds each. */
  held: Buffer
  bytes: number
  readonly bytesMax: number
  refuse(problem: ProblemAnswer): void
}

export class HttpBodies {
  readonly #bytesMax: number
  readonly #turns: Turns
  readonly #bodyMs: number
  /** Those that have not come whole; the one that has brought nothing for longest first. */
  readonly #underWay = new Set<Body>()
  #bytesHeld = 0

  /** `bodyMs`: so long one may take to come. */
  constructor(bytesMax: number, bodyMs: number, turns: Turns) {
    this.#bytesMax = bytesMax
    this.#bodyMs = bodyMs
    this.#turns = turns
  }

  /** Resolves when it is this one's turn. */
  async receive(request: IncomingMessage): Promise<Buffer> {
    const declared = Number(request.headers['content-length'] ?? SUBMISSION_BYTES_MAX)
    const bytesMax = Math.min(declared, SUBMISSION_BYTES_MAX)
    const body: Body = { held: NOTHING, bytes: 0, bytesMax, refuse: () => {} }
    const add = (chunk: Buffer): void => this.#add(body, chunk)
    this.#underWay.add(body)
    const slow = setTimeout(() => body.refuse(SLOW), this.#bodyMs)
    try {
      await new Promise<void>((resolve, reject) => {
        body.refuse = (problem) => reject(new BodyRefused(problem))
        if (declared > SUBMISSION_BYTES_MAX) body.refuse(TOO_LARGE)
        request.once('end', resolve)
        request.once('close', () => body.refuse(CUT_OFF))
        request.on('data', add)
      })
      this.#underWay.delete(body)
      await this.#turns.next()
      return body.held.subarray(0, body.bytes)
    } finally {
      clearTimeout(slow)
      request.off('data', add)
      this.#release(body)
    }
  }

  #add(body: Body, chunk: Buffer): void {
    const bytes = body.bytes + chunk.length
    if (bytes > body.bytesMax) {
      body.refuse(TOO_LARGE)
      return
    }
    if (bytes > body.held.length) {
      const size = Math.min(body.bytesMax, Math.max(bytes, 2 * body.held.length))
      const held = Buffer.allocUnsafeSlow(size)
      body.held.copy(held)
      this.#bytesHeld += held.length - body.held.length
      body.held = held
    }
    chunk.copy(body.held, body.bytes)
    body.bytes = bytes
    this.#underWay.delete(body)
    this.#underWay.add(body)
    while (this.#bytesHeld > this.#bytesMax) {
      const [longest] = this.#underWay
      longest!.refuse(CROWDED)
      this.#release(longest!)
    }
  }

  #release(body: Body): void {
    this.#underWay.delete(body)
    this.#bytesHeld -= body.held.length
    body.held = NOTHING
    body.bytes = 0
  }
}
