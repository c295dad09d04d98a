/** What is remembered of many, and only of the latest of them. */

/** A map of the latest so many entries: what is set stands last, and beyond the bound the first goes. */
export class LatestMap<K, V> extends Map<K, V> {
  readonly #most: number

  constructor(most: number) {
    super()
    this.#most = most
  }

  override set(key: K, value: V): this {
    this.delete(key)
    super.set(key, value)
    if (this.size > this.#most) {
      const [first] = this.keys()
      this.delete(first!)
    }
    return this
  }
}
