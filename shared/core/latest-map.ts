/**
 * A map of the latest so many entries: what is set stands last, and beyond the bound the first goes. For what is
 * remembered of many, who may be more than there is room for.
 */

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
