/** Stands for `async-hook-domain`: follows nothing. */
export class Domain {
  /** @param {(error: unknown, type: string) => void} onerror */
  constructor(onerror) {
    this.onerror = onerror
  }

  destroy() {}
}
