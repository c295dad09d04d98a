/** A store whose power cuts are tried: how it is used, and what it must be afterwards. */

/** One line of the recording: what the process began, or what was acknowledged to it. */
export interface Fact {
  readonly what: string
  readonly [member: string]: unknown
}

export interface Subject {
  /** Uses a new store in `directory`, and says each fact at the moment that it becomes one. */
  record(directory: string, seed: number, say: (fact: Fact) => void): Promise<void>
  /**
   * Opens what a cut left in `directory` after `facts` had been said, compares it with the one state
   * that it must have, and writes to it again. A sentence for what is wrong.
   */
  judge(directory: string, seed: number, facts: readonly Fact[]): Promise<string | undefined>
}
