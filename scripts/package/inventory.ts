/**
 * The inventory of a packaged tree: every file with its size, digest and mode, and two signatures over the list. A tree
 * is sound when the list is signed by both keys that are trusted and holds exactly the files that are there.
 *
 * `inventory.sig` is by Ed25519, over the bytes of the list: what versions before the second signature look at. To them each
 * file that is not listed is one too many, so the second signature, by ML-DSA-65, is listed itself; it is over the list
 * without its own entry. Where only Ed25519 is trusted, as by those versions, the second key is the one that the tree brings:
 * the first vouches for it, and from then on both are trusted.
 */
import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { messageOf } from '../../shared/runtime/errors.ts'
import {
  isSignedByEd25519,
  isSignedByMlDsa65,
  type PrivateKeys,
  type PublicKeys,
  parsePublicKeys,
  signEd25519,
  signMlDsa65,
} from './signing-keys.ts'

export const INVENTORY_FILE = 'inventory.json'
export const SIGNATURE_FILE = 'inventory.sig'
/** Over the list without the entry of this file. */
export const SECOND_SIGNATURE_FILE = 'inventory.mldsa.sig'
/** The public keys that a tree was signed with, as PEM. It is one of the listed files. */
export const PUBLIC_KEY_FILE = 'release-key.pem'

const text = v.pipe(v.string(), v.nonEmpty())
const isBelow = (path: string): boolean =>
  !path.split('/').some((part) => part === '' || part === '.' || part === '..')

const fileSchema = v.object({
  /** From the top of the tree, with `/`. */
  path: v.pipe(text, v.check(isBelow)),
  bytes: v.pipe(v.number(), v.safeInteger()),
  /** Hexadecimal. */
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  /** Octal, as `0644`. */
  mode: v.pipe(v.string(), v.regex(/^0[0-7]{3}$/)),
})
export type InventoryFile = Readonly<v.InferOutput<typeof fileSchema>>

const packageSchema = v.object({ name: v.string(), version: v.string(), license: v.string() })
/** A package of others that is inside the bundles. */
export type BundledPackage = Readonly<v.InferOutput<typeof packageSchema>>

const inventorySchema = v.object({
  ...{ version: text, role: text, architecture: text },
  files: v.array(fileSchema),
  packages: v.pipe(v.array(packageSchema), v.readonly()),
  /** Of the messages between gateway and node that the program speaks. */
  protocol: v.optional(v.custom<number>(() => true)),
  /** The newest version that it may take the place of, if of any that is newer (docs/decisions/0025); else no word. */
  downgradeFrom: v.optional(v.custom<string>(() => true)),
})
export type Inventory = Readonly<v.InferOutput<typeof inventorySchema>>

/** What is wrong with a tree; `path` is the file that it is about. */
export interface Problem {
  readonly path: string
  readonly message: string
}

/** A file of a tree that is about to be written. */
export interface TreeFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly mode: number
}

export function listed({ path, bytes, mode }: TreeFile): InventoryFile {
  return { path, bytes: bytes.length, sha256: digestOf(bytes), mode: formatMode(mode) }
}

/** The bytes of the list, which are what is signed. */
export function encodeInventory(inventory: Inventory): Buffer {
  const files = inventory.files.toSorted((left, right) => compare(left.path, right.path))
  return Buffer.from(`${JSON.stringify({ ...inventory, files }, null, 2)}\n`)
}

const SIGNATURE_MODE = 0o644

/** The list, and what signs it; without a second key as it was before there was one. */
export function signedInventory(inventory: Inventory, keys: PrivateKeys): TreeFile[] {
  const fileOf = (path: string, bytes: Uint8Array): TreeFile => {
    return { path, bytes, mode: SIGNATURE_MODE }
  }
  const { mlDsa65: seed } = keys
  const second =
    seed === undefined
      ? []
      : [fileOf(SECOND_SIGNATURE_FILE, signMlDsa65(encodeInventory(inventory), seed))]
  const files = [...inventory.files, ...second.map(listed)]
  const list = encodeInventory({ ...inventory, files })
  return [...second, fileOf(INVENTORY_FILE, list), fileOf(SIGNATURE_FILE, signEd25519(list, keys))]
}

/** The inventory of a tree, unchecked. Throws when there is none that can be read. */
export function readInventory(directory: string): Inventory {
  return parseInventory(readFileSync(join(directory, INVENTORY_FILE)))
}

/** Everything that is wrong with a tree; nothing if it is what the owner of the keys has signed. `trusted` is PEM. */
export function verifyTree(directory: string, trusted: string): Problem[] {
  let bytes: Buffer
  const keys = parsePublicKeys(trusted)
  try {
    if (keys === undefined)
      throw new Error('the trusted key is not an Ed25519 key, alone or with one of ML-DSA-65')
    bytes = readFileSync(join(directory, INVENTORY_FILE))
    const signature = readFileSync(join(directory, SIGNATURE_FILE), 'latin1')
    if (!isSignedByEd25519(bytes, signature, keys)) {
      return [{ path: SIGNATURE_FILE, message: 'is not a signature by the trusted key' }]
    }
  } catch (error) {
    return [{ path: INVENTORY_FILE, message: `cannot be checked: ${messageOf(error)}` }]
  }
  try {
    const inventory = parseInventory(bytes)
    const problem = secondProblem(directory, inventory, bytes, keys)
    return problem === undefined ? compareTree(directory, inventory) : [problem]
  } catch (error) {
    return [{ path: INVENTORY_FILE, message: messageOf(error) }]
  }
}

/** What is wrong with the second signature. Only where nobody knows of a second key there is none. */
function secondProblem(
  directory: string,
  inventory: Inventory,
  bytes: Uint8Array,
  trusted: PublicKeys,
): Problem | undefined {
  const files = inventory.files.filter(({ path }) => path !== SECOND_SIGNATURE_FILE)
  const entry = inventory.files.find(({ path }) => path === SECOND_SIGNATURE_FILE)
  const isListed = entry !== undefined
  const key = trusted.mlDsa65 ?? ownKeys(directory)?.mlDsa65
  if (key === undefined && !isListed) return undefined
  const told = (message: string): Problem => ({ path: SECOND_SIGNATURE_FILE, message })
  if (key === undefined) return told('is by a key that is not there')
  const signature = isListed ? readIfThere(join(directory, SECOND_SIGNATURE_FILE)) : undefined
  if (signature === undefined) return told('is missing: a package is signed by both keys')
  const listedMode = formatMode(SIGNATURE_MODE)
  if (entry?.mode !== listedMode)
    return told(`is listed with mode ${entry?.mode}, not ${listedMode}`)
  // What is signed is made of the list again, so the list must be nothing but what is read in it.
  const isWhole = encodeInventory(inventory).equals(bytes)
  const isSigned = isSignedByMlDsa65(encodeInventory({ ...inventory, files }), signature, key)
  return isWhole && isSigned ? undefined : told('is not a signature by the trusted key')
}

/** The keys that a tree comes with. That they are what is listed is looked at with all files. */
function ownKeys(directory: string): PublicKeys | undefined {
  const text = readIfThere(join(directory, PUBLIC_KEY_FILE))
  return text === undefined ? undefined : parsePublicKeys(text)
}

function readIfThere(path: string): string | undefined {
  const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true
  return isFile ? readFileSync(path, 'latin1') : undefined
}

/**
 * Gives every file of a verified tree the mode that is listed, and directories 0755: who unpacked it may
 * have had a strict umask, and the programs run as users of their own.
 */
export function restoreModes(directory: string): void {
  chmodSync(directory, 0o755)
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755)
    else if (entry.isFile()) chmodSync(join(entry.parentPath, entry.name), 0o644)
  }
  for (const { path, mode } of readInventory(directory).files) {
    chmodSync(join(directory, path), Number.parseInt(mode, 8))
  }
}

/** As it was written: what is signed is made of it again. */
function parseInventory(bytes: Buffer): Inventory {
  const inventory: unknown = JSON.parse(bytes.toString('utf8'))
  if (v.is(inventorySchema, inventory)) return inventory
  throw new Error(`${INVENTORY_FILE} is not an inventory`)
}

function compareTree(directory: string, { files }: Inventory): Problem[] {
  const unlisted = new Set(pathsBelow(directory))
  unlisted.delete(INVENTORY_FILE)
  unlisted.delete(SIGNATURE_FILE)
  const problems: Problem[] = []
  for (const file of files) {
    const message = unlisted.delete(file.path) ? differenceOf(directory, file) : 'is missing'
    if (message !== undefined) problems.push({ path: file.path, message })
  }
  for (const path of [...unlisted].sort(compare)) problems.push({ path, message: 'is not listed' })
  return problems
}

function differenceOf(directory: string, file: InventoryFile): string | undefined {
  const path = join(directory, file.path)
  const stats = lstatSync(path)
  if (!stats.isFile()) return 'is not a plain file'
  if (stats.size !== file.bytes) return `has ${stats.size} bytes, not ${file.bytes}`
  if (digestOf(readFileSync(path)) !== file.sha256) return 'has another content'
  const mode = stats.mode & 0o7777
  return isMode(mode, Number.parseInt(file.mode, 8))
    ? undefined
    : `has mode ${formatMode(mode)}, not ${file.mode}`
}

/** Unpacking under a strict umask takes rights from others, which harms nothing; none may be added. */
function isMode(mode: number, listedMode: number): boolean {
  return (mode & ~listedMode) === 0 && (mode & 0o700) === (listedMode & 0o700)
}

/** All that is no directory, links too. */
function pathsBelow(directory: string, prefix = ''): string[] {
  return readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = `${prefix}${entry.name}`
    return entry.isDirectory() ? pathsBelow(directory, `${path}/`) : [path]
  })
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

/** By code units: the same everywhere. */
export function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
