/** What is known of an installation before it is changed: what the plans decide on. */
import type { Unseen } from '../path-faults.ts'

/** A tree of files, as its inventory and its package.json say. */
export interface TreeFacts {
  readonly path: string
  readonly version: string
  readonly role: string
  readonly architecture: string
  /** The least Node. */
  readonly node: string
  /** Tells two trees apart: the bytes of the inventory. */
  readonly inventory: string
  readonly unitText: string
  /** Of an agent that takes versions from its gateway: the units that install them, as `upgradeUnitsOf` has their places. */
  readonly upgradeTexts?: readonly string[]
  /** What is not as the inventory says; of a tree that cannot be read nothing else is known. */
  readonly problems: readonly string[]
}

/** Whether there is a tree, and nothing is wrong with it: no other is run, or gone back to. */
export function isSound(tree: TreeFacts | undefined): tree is SoundTree {
  return tree !== undefined && tree.problems.length === 0
}

type SoundTree = TreeFacts & { readonly problems: readonly [] }

export interface UnitFacts {
  readonly isEnabled: boolean
  readonly activeState: string
  readonly statusText: string
  /** systemd read the unit before it was changed. */
  readonly needsReload: boolean
}

export interface Facts {
  readonly root: string
  readonly architecture: string
  /** The Node that the unit is to run, and its version if it could be asked. */
  readonly node: { readonly path: string; readonly version: string | undefined } | undefined
  readonly systemdVersion: number | undefined
  /** Whether systemd can be asked; not below another root. */
  readonly isLive: boolean
  readonly tree: TreeFacts | undefined
  readonly offered: TreeFacts | undefined
  /** Where its files are, which nobody else can change. */
  readonly offeredCopy: string | undefined
  /** PEM of the key that a tree must be signed by; without one, by its own. */
  readonly trustedKey: string | undefined
  /** What an upgrade left: it did not get to say that the new version is ready. */
  readonly previous: TreeFacts | undefined
  readonly isOwnedByDpkg: boolean
  /** Directories of files that an installation writes, where these are not there yet. */
  readonly missing: readonly string[]
  /** What there is of what an installation writes, leaves or removes, by path. */
  readonly entries: Readonly<Record<string, Entry>>
  /** Of an agent: a secured gateway knows it, and it needs no token any more. */
  readonly hasIdentity: boolean
  /** A person has seen to it that nothing starts the unit. */
  readonly isMasked: boolean
  /** Whether the other program is installed beside this one. */
  readonly hasOther: boolean
  readonly unit: UnitFacts | undefined
  /** What could not be looked at: above, it counts as missing. */
  readonly unseen: readonly Unseen[]
}

/** Of a file its text and mode; of a link those of what it leads to, if it leads anywhere. */
export interface Entry {
  readonly target?: string
  readonly text?: string
  readonly mode?: number
}

/** A plan from less than what is there would be another one. */
export function checkSeen({ unseen }: Facts): void {
  for (const { fault } of unseen) throw fault
}
