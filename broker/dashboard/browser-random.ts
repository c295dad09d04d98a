import { Random } from '../../shared/core/random.ts'

/** Numbers from the system's generator, in a browser. */
export class BrowserRandom extends Random {
  constructor() {
    super(0)
  }

  override uint32(): number {
    return crypto.getRandomValues(new Uint32Array(1))[0]!
  }
}
