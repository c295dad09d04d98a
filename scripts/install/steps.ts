/** What an installation does, one by one; the same list is performed or printed. */
import { formatMode } from '../package/inventory.ts'
import { under } from './places.ts'

export type Step =
  | { readonly do: 'make-directory'; readonly path: string; readonly mode: number }
  | {
      readonly do: 'write-file'
      readonly path: string
      readonly text: string
      readonly mode: number
      /** Why, and never what is in it. */
      readonly about: string
    }
  /** A complete, verified copy takes the place; what was there becomes `previous`, if it is kept. */
  | {
      readonly do: 'place-tree'
      /** As the user named it; its files are those at `copy`. */
      readonly from: string
      readonly copy: string
      readonly to: string
      readonly previous: string
      readonly isKept: boolean
      readonly version: string
      /** PEM of the key that it must be signed by, when that is not its own. */
      readonly trustedKey: string | undefined
    }
  /** The tree that was kept takes its place again. */
  | { readonly do: 'restore-tree'; readonly from: string; readonly to: string }
  | { readonly do: 'link'; readonly path: string; readonly target: string }
  | { readonly do: 'remove'; readonly path: string; readonly about: string }
  | { readonly do: 'systemctl'; readonly words: readonly string[]; readonly mayFail?: boolean }
  /** Waits until the unit is ready; the steps that follow are only for one that is. */
  | { readonly do: 'watch'; readonly unit: string; readonly mustJoin: boolean }
  /** Waits for an identity, and removes the token that gave it; without one it stays for later. */
  | {
      readonly do: 'forget-token'
      readonly unit: string
      readonly path: string
      readonly identities: readonly string[]
    }

/** In paths as they are on this machine: below the root. */
export function describe(step: Step, root: string): string {
  const at = (path: string): string => under(root, path)
  switch (step.do) {
    case 'make-directory':
      return `make ${at(step.path)} (${formatMode(step.mode)})`
    case 'write-file':
      return `write ${at(step.path)} (${formatMode(step.mode)}): ${step.about}`
    case 'place-tree':
      return `put version ${step.version} from ${step.from} to ${at(step.to)}`
    case 'restore-tree':
      return `put ${at(step.from)} back to ${at(step.to)}`
    case 'link':
      return `link ${at(step.path)} to ${step.target}`
    case 'remove':
      return `remove ${at(step.path)}: ${step.about}`
    case 'systemctl':
      return `systemctl ${step.words.join(' ')}`
    case 'watch':
      return `wait until ${step.unit} is ready${step.mustJoin ? ' and has joined' : ''}`
    case 'forget-token':
      return `remove ${at(step.path)}, once ${step.unit} has its identity`
  }
}
