/**
 * Ends connections whose clients have been silent for one and a half times their keep alive [MQTT-3.1.2-24]. One timer
 * looks at all of them: a timer each would be more to keep, and to move with each packet.
 */

export interface KeptAlive {
  /** When its last packet came, `performance.now()`. */
  readonly heardMs: number
  /** How long it may be silent. */
  readonly silentMsMax: number
  keepAliveEnded(): void
}

const LOOK_MS = 500

export class KeepAlives {
  readonly #clients = new Set<KeptAlive>()
  #timer: NodeJS.Timeout | undefined

  add(client: KeptAlive): void {
    this.#clients.add(client)
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS)
  }

  delete(client: KeptAlive): void {
    if (!this.#clients.delete(client) || this.#clients.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const nowMs = performance.now()
    for (const client of this.#clients) {
      if (nowMs - client.heardMs > client.silentMsMax) client.keepAliveEnded()
    }
  }
}
