/** A reader of server-sent events (WHATWG HTML, 9.2.6): one at a time, as they come. */
export interface SentEvent {
  /** `message` where it has no name of its own. */
  readonly name: string
  readonly id: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: what it is, a test says.
  readonly data: any
}

export class EventReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#chunks = body[Symbol.asyncIterator]()
  }

  /** The next one of this name; others are passed over. */
  async next(name?: string): Promise<SentEvent> {
    for (;;) {
      const event = await this.#nextOfAny()
      if (name === undefined || event.name === name) return event
    }
  }

  async #nextOfAny(): Promise<SentEvent> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end < 0) {
        const { done, value } = await this.#chunks.next()
        if (done === true) throw new Error(`the stream ended: ${this.#text}`)
        this.#text += this.#decoder.decode(value, { stream: true })
        continue
      }
      const lines = this.#text.slice(0, end).split('\n')
      this.#text = this.#text.slice(end + 2)
      const member = (name: string): string | undefined =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
      const data = member('data')
      if (data === undefined) continue
      return { name: member('event') ?? 'message', id: member('id'), data: JSON.parse(data) }
    }
  }
}
