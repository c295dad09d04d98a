/** What is to be at a path, or not to be there; what differs is a step, and so is what sets it back. */
import { dirname } from 'node:path'
import { own } from '../../shared/core/own.ts'
import type { Facts } from './collect-facts.ts'
import type { Step } from './steps.ts'

/** A file with this text, a link to this target, or nothing. */
export interface Wanted {
  readonly path: string
  readonly text?: string | undefined
  readonly target?: string | undefined
  /** Of a file whose mode counts as well. */
  readonly mode?: number
  /** Why, and never what is in it. */
  readonly about: string
}

const PLAIN = 0o644
const SECRET = 0o600

/** The text of the file that a path leads to. */
export function textAt(facts: Facts, path: string): string | undefined {
  return own(facts.entries, path)?.text
}

export function isAt(facts: Facts, path: string): boolean {
  return own(facts.entries, path) !== undefined
}

/** The steps that bring it about. Of a link only that there is one counts: a person may have another. */
export function bring(facts: Facts, wishes: readonly Wanted[]): Step[] {
  return wishes.flatMap(({ path, text, target, mode, about }): Step[] => {
    const present = own(facts.entries, path)
    if (target !== undefined) return present === undefined ? [{ do: 'link', path, target }] : []
    if (text === undefined) return present === undefined ? [] : [{ do: 'remove', path, about }]
    const isSame = present?.text === text && (mode === undefined || present.mode === mode)
    if (isSame) return []
    const directory = dirname(path)
    const write: Step = { do: 'write-file', path, text, mode: mode ?? PLAIN, about }
    if (!facts.missing.includes(directory)) return [write]
    const isSecret = mode === SECRET
    return [{ do: 'make-directory', path: directory, mode: isSecret ? 0o700 : 0o755 }, write]
  })
}

/** What these steps change, as it is now. */
export function setBack(facts: Facts, steps: readonly Step[]): Step[] {
  return steps.flatMap((step): Step[] => {
    if (step.do !== 'write-file' && step.do !== 'link' && step.do !== 'remove') return []
    const { path } = step
    const { target, text, mode = PLAIN } = own(facts.entries, path) ?? {}
    if (target !== undefined) return [{ do: 'link', path, target }]
    if (text !== undefined) return [{ do: 'write-file', path, text, mode, about: 'as it was' }]
    return [{ do: 'remove', path, about: 'it was not there before' }]
  })
}
