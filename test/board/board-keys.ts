/** The keys of a board in a machine, as root sees them there. */
import type { Guest } from './guest.ts'

const IDENTITY = '/var/lib/private/obelisk-agent/identity'

export class BoardKeys {
  readonly #guest: Guest
  readonly #seen: string[]

  static async of(guest: Guest): Promise<BoardKeys> {
    const keys = new BoardKeys(guest)
    await keys.hasAnother()
    return keys
  }

  private constructor(guest: Guest) {
    this.#guest = guest
    this.#seen = []
  }

  /** Whether the board has a key that was not seen before. */
  async hasAnother(): Promise<boolean> {
    const { code, text } = await this.#guest.try(`sha256sum ${IDENTITY}/key.pem`)
    if (code !== 0 || this.#seen.includes(text)) return false
    this.#seen.push(text)
    return true
  }

  /** Whether it has no other beside it, made or kept. */
  async isAlone(): Promise<boolean> {
    // Not `ls` of a pattern: what goes between the two is an error to it.
    return (await this.#guest.run(`echo ${IDENTITY}*`)) === IDENTITY
  }

  /** Whether all of it belongs to whose the data are. */
  async isOwn(): Promise<boolean> {
    const owners = await this.#guest.run(`stat -c %u ${IDENTITY} ${IDENTITY}/*.pem ${IDENTITY}/..`)
    return new Set(owners.split(/\s+/)).size === 1
  }
}
