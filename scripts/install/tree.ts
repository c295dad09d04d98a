/** Trees of files as packages bring them: what they say of themselves, and what is wrong with them. */
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AppError, messageOf } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import { UPGRADE_UNITS } from '../package/architectures.ts'
import { INVENTORY_FILE, PUBLIC_KEY_FILE, verifyTree } from '../package/inventory.ts'
import { parsePublicKeys } from '../package/signing-keys.ts'
import { faultOf } from '../path-faults.ts'
import { isRole, NODE_RANGE } from './places.ts'
import type { PrivateCopy } from './tree-copy.ts'

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

const SHOWN_MAX = 5

/**
 * What the tree says of itself, or nothing where there is none. One that cannot be read, whatever is
 * missing in it or cut off, has problems and no more. Throws AppError where it may not be looked at.
 */
export function readTree(directory: string, trustedKey?: string): TreeFacts | undefined {
  try {
    if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) return undefined
    return { ...contentsOf(directory), problems: problemsOf(directory, trustedKey) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') throw faultOf(error, directory, 'looked at')
    const nothing = { version: '', role: '', architecture: '', inventory: '', unitText: '' }
    const problems = [messageOf(error).replaceAll(`${directory}/`, '')]
    return { path: directory, ...nothing, node: NODE_RANGE, problems }
  }
}

/** The tree of a copy, by the name that its original has for the user. Throws AppError for a bad one. */
export function readOffered(copy: PrivateCopy, trustedKey: string | undefined): TreeFacts {
  const { original, path } = copy
  const offered = readTree(path, trustedKey)!
  if (!isSound(offered)) throw badTree(original, offered.problems)
  return { ...offered, path: original }
}

function contentsOf(directory: string): Omit<TreeFacts, 'problems'> {
  const textOf = (name: string): string => {
    try {
      return readFileSync(join(directory, name), 'utf8')
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
      throw isMissing ? new Error(`${name} is missing`) : error
    }
  }
  const { version, role, architecture, node } = parseManifest(textOf('package.json'))
  const upgradeTexts = UPGRADE_UNITS.map((name) => join(directory, 'systemd', name))
  const hasUpgrades = role === 'agent' && upgradeTexts.every((path) => existsSync(path))
  return {
    ...(hasUpgrades
      ? { upgradeTexts: upgradeTexts.map((path) => readFileSync(path, 'utf8')) }
      : {}),
    path: directory,
    version,
    role,
    architecture,
    node,
    inventory: textOf(INVENTORY_FILE),
    unitText: textOf(`systemd/obelisk-${role}.service`),
  }
}

function parseManifest(text: string) {
  let manifest: { version?: unknown; obelisk?: Record<string, unknown> } | null
  try {
    manifest = JSON.parse(text)
  } catch (error) {
    throw new Error(`package.json is not JSON: ${messageOf(error)}`)
  }
  const { role, architecture, node = NODE_RANGE } = manifest?.obelisk ?? {}
  if (!isRole(role)) throw new Error('package.json is that of another package')
  return {
    version: String(manifest?.version),
    role,
    architecture: String(architecture),
    node: String(node),
  }
}

/**
 * The key that the next tree has to be signed by too: of the first of these that has one. Throws AppError
 * where there is one and it is damaged: then nobody knows whom to trust.
 */
export function trustedKeyOf(directories: readonly string[]): string | undefined {
  const keys = directories.map(readKey).filter((key) => key !== undefined)
  const sound = keys.find((text) => parsePublicKeys(text) !== undefined)
  if (sound !== undefined || keys.length === 0) return sound
  const [path] = directories.map((directory) => join(directory, PUBLIC_KEY_FILE))
  const message = `${path} is damaged: name the public key to trust with --release-key`
  throw fault('bad-package', message)
}

/** The key that a tree came with. */
function readKey(directory: string): string | undefined {
  try {
    return readFileSync(join(directory, PUBLIC_KEY_FILE), 'utf8')
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw faultOf(error, join(directory, PUBLIC_KEY_FILE), 'looked at')
  }
}

export function problemsOf(directory: string, trustedKey: string | undefined): string[] {
  const key = trustedKey ?? readKey(directory)
  if (key === undefined) return [`${PUBLIC_KEY_FILE} is missing`]
  return verifyTree(directory, key).map(({ path, message }) => `${path} ${message}`)
}

/** `remedy` is told after the problems. */
export function badTree(directory: string, problems: readonly string[], remedy?: string): AppError {
  const more = problems.length > SHOWN_MAX ? [`and ${problems.length - SHOWN_MAX} more`] : []
  const last = remedy === undefined ? [] : [remedy]
  const lines = [...problems.slice(0, SHOWN_MAX), ...more, ...last].map((line) => `\n  ${line}`)
  return fault('bad-package', `${directory} is not a sound package:${lines.join('')}`)
}
