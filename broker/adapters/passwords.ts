/**
 * Passwords by scrypt [RFC 7914], each at the cost of 32 MiB and a tenth of a second: so few at a time, a bounded queue,
 * and `busy` beyond it. A name that is none costs the same as one that is. What was right is remembered for a while as
 * an HMAC under a key of this process, so that programs that connect often cost nothing; a record that changes is
 * another one there.
 */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { LatestMap } from '../../shared/core/latest-map.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { PasswordRecord } from '../core/access/users.ts'

export interface PasswordsOptions {
  readonly n?: number
  readonly atATime?: number
  /** Tries that wait; a quarter of the places is for those who are known. */
  readonly waitingMax?: number
  /** Passwords that are set at a time. */
  readonly makingMax?: number
  readonly rememberedMax?: number
  readonly rememberedMs?: number
}

export type PasswordVerdict = 'right' | 'wrong' | 'busy' | 'gone'

const N = 2 ** 15
const R = 8
const P = 1
const HASH_BYTES = 32
const SALT_BYTES = 16

export class Passwords {
  readonly #n: number
  readonly #atATime: number
  readonly #waitingMax: number
  readonly #makingMax: number
  readonly #rememberedMs: number
  readonly #key = randomBytes(32)
  /** What was right, and until when it is remembered: the oldest first. Monotonic ms. */
  readonly #right: LatestMap<string, number>
  /** Compared with where there is nothing to compare with. */
  readonly #nobodys: PasswordRecord
  readonly #waiting: (() => void)[] = []
  #running = 0
  #making = 0
  #judging = 0

  constructor(options: PasswordsOptions = {}) {
    this.#n = options.n ?? N
    this.#atATime = options.atATime ?? 2
    this.#waitingMax = options.waitingMax ?? 32
    this.#makingMax = options.makingMax ?? 16
    this.#right = new LatestMap(options.rememberedMax ?? 1024)
    this.#rememberedMs = options.rememberedMs ?? 600_000
    const [salt, hash] = [randomBytes(SALT_BYTES), randomBytes(HASH_BYTES)]
    this.#nobodys = { n: this.#n, r: R, p: P, salt, hash }
  }

  /** Who sets a password waits for his turn, and is refused where too many do. */
  async make(password: Uint8Array): Promise<PasswordRecord> {
    if (this.#making >= this.#makingMax) {
      throw new AppError('overloaded', 'others set passwords at this moment: try again')
    }
    this.#making += 1
    const wanted = { n: this.#n, r: R, p: P, salt: randomBytes(SALT_BYTES) }
    await this.#turn()
    try {
      return { ...wanted, hash: await hashOf(password, wanted) }
    } finally {
      this.#making -= 1
      this.#next()
    }
  }

  /** Whether this password was right for this record not long ago. */
  isRemembered(record: PasswordRecord | undefined, password: Uint8Array): boolean {
    if (record === undefined) return false
    const untilMs = this.#right.get(this.#nameOf(record, password))
    return untilMs !== undefined && untilMs > performance.now()
  }

  /** `gone` if nobody waits for the answer any more when its turn comes. */
  async judge(
    record: PasswordRecord | undefined,
    password: Uint8Array,
    isGone: () => boolean,
    isKnown = true,
  ): Promise<PasswordVerdict> {
    const waitingMax = isKnown ? this.#waitingMax : (this.#waitingMax * 3) / 4
    if (this.#judging >= this.#atATime + waitingMax) return 'busy'
    this.#judging += 1
    await this.#turn()
    try {
      if (isGone()) return 'gone'
      const against = record ?? this.#nobodys
      const isEqual = timingSafeEqual(await hashOf(password, against), against.hash)
      if (record === undefined || !isEqual) return 'wrong'
      this.#remember(this.#nameOf(record, password))
      return 'right'
    } finally {
      this.#judging -= 1
      this.#next()
    }
  }

  async #turn(): Promise<void> {
    if (this.#running < this.#atATime) this.#running += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Whoever waits takes the place of who is done. */
  #next(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#running -= 1
    else next()
  }

  #nameOf({ salt, hash }: PasswordRecord, password: Uint8Array): string {
    return createHmac('sha256', this.#key).update(salt).update(hash).update(password).digest('hex')
  }

  #remember(name: string): void {
    this.#right.set(name, performance.now() + this.#rememberedMs)
  }
}

function hashOf(
  password: Uint8Array,
  { n, r, p, salt }: Omit<PasswordRecord, 'hash'>,
): Promise<Buffer> {
  const options = { N: n, r, p, maxmem: 256 * n * r }
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, options, (error, hash) => {
      if (error === null) resolve(hash)
      else reject(error)
    })
  })
}
