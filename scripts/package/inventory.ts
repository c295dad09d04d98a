/**
 * The inventory of a packaged tree: every file with its size, digest and mode, and an Ed25519 signature
 * over the bytes of the list. A tree is sound when the list is signed by the key that is trusted and
 * holds exactly the files that are there. Node's own modules only: a board checks with this.
 */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { chmodSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../shared/runtime/errors.ts'

export const INVENTORY_FILE = 'inventory.json'
export const SIGNATURE_FILE = 'inventory.sig'
/** The public key that a tree was signed with, as PEM. It is one of the listed files. */
export const PUBLIC_KEY_FILE = 'release-key.pem'

export interface InventoryFile {
  /** From the top of the tree, with `/`. */
  readonly path: string
  readonly bytes: number
  /** Hexadecimal. */
  readonly sha256: string
  /** Octal, as `0644`. */
  readonly mode: string
}

/** A package of others that is inside the bundles. */
export interface BundledPackage {
  readonly name: string
  readonly version: string
  readonly license: string
}

export interface Inventory {
  readonly version: string
  readonly role: string
  readonly architecture: string
  readonly files: readonly InventoryFile[]
  readonly packages: readonly BundledPackage[]
}

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

/** The content of `inventory.sig`. */
export function signInventory(inventory: Uint8Array, privateKey: KeyObject): Buffer {
  return Buffer.from(`${sign(null, inventory, privateKey).toString('base64')}\n`)
}

/** SHA-256 of the public key's DER, hexadecimal: what people compare. */
export function fingerprintOf(publicKey: KeyObject | string): string {
  const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey
  return digestOf(key.export({ type: 'spki', format: 'der' }))
}

/** The inventory of a tree, unchecked. Throws when there is none that can be read. */
export function readInventory(directory: string): Inventory {
  return parseInventory(readFileSync(join(directory, INVENTORY_FILE)))
}

/** Everything that is wrong with a tree; nothing if it is what the owner of the key has signed. */
export function verifyTree(directory: string, publicKey: KeyObject | string): Problem[] {
  let bytes: Buffer
  try {
    bytes = readFileSync(join(directory, INVENTORY_FILE))
    const signature = readFileSync(join(directory, SIGNATURE_FILE), 'latin1')
    if (!isSigned(bytes, signature, publicKey)) {
      return [{ path: SIGNATURE_FILE, message: 'is not a signature by the trusted key' }]
    }
  } catch (error) {
    return [{ path: INVENTORY_FILE, message: `cannot be checked: ${messageOf(error)}` }]
  }
  try {
    return compareTree(directory, parseInventory(bytes))
  } catch (error) {
    return [{ path: INVENTORY_FILE, message: messageOf(error) }]
  }
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

/** Whether the text is a key that a tree can be signed by. */
export function isPublicKey(text: string): boolean {
  try {
    return createPublicKey(text).asymmetricKeyType === 'ed25519'
  } catch {
    return false
  }
}

function isSigned(bytes: Buffer, signature: string, publicKey: KeyObject | string): boolean {
  const key = typeof publicKey === 'string' ? createPublicKey(publicKey) : publicKey
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('the trusted key is not an Ed25519 key')
  return verify(null, bytes, key, Buffer.from(signature.trim(), 'base64'))
}

function parseInventory(bytes: Buffer): Inventory {
  const inventory = JSON.parse(bytes.toString('utf8')) as Inventory
  const isSound =
    typeof inventory === 'object' &&
    inventory !== null &&
    [inventory.version, inventory.role, inventory.architecture].every(isText) &&
    Array.isArray(inventory.packages) &&
    Array.isArray(inventory.files) &&
    inventory.files.every(isInventoryFile)
  if (!isSound) throw new Error(`${INVENTORY_FILE} is not an inventory`)
  return inventory
}

function isInventoryFile(file: InventoryFile): boolean {
  return (
    typeof file === 'object' &&
    file !== null &&
    isText(file.path) &&
    !file.path.split('/').some((part) => part === '' || part === '.' || part === '..') &&
    Number.isSafeInteger(file.bytes) &&
    /^[0-9a-f]{64}$/.test(file.sha256) &&
    /^0[0-7]{3}$/.test(file.mode)
  )
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
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

function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

/** By code units: the same everywhere. */
export function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
