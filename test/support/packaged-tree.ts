/** Small packaged trees with a real inventory and signature, whose `obelisk.mjs` is the built command. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type Inventory,
  listed,
  PUBLIC_KEY_FILE,
  signedInventory,
  type TreeFile,
} from '../../scripts/package/inventory.ts'
import {
  formatPublicKeys,
  type PrivateKeys,
  publicHalfOf,
} from '../../scripts/package/signing-keys.ts'

const ROOT = new URL('../../', import.meta.url)

export interface TreeOptions {
  readonly version: string
  readonly role?: string
  readonly architecture: string
  readonly key: KeyPair
  /** The text of the program, which says its version otherwise. */
  readonly program?: string
  /** Files besides, by path. */
  readonly more?: Readonly<Record<string, string>>
  /** Of the list, beside what every one has. */
  readonly inventory?: Readonly<Record<string, unknown>>
}

export interface KeyPair {
  /** PEM. */
  readonly publicKey: string
  readonly privateKey: PrivateKeys
}

export function makeKey(): KeyPair {
  return pairOf({ ...newOldKey(), mlDsa65: randomBytes(32) })
}

/** As versions before the second signature had one; or that of `key`, before the other was added. */
export function makeOldKey(key?: KeyPair): KeyPair {
  return pairOf(key === undefined ? newOldKey() : { ed25519: key.privateKey.ed25519 })
}

function newOldKey(): PrivateKeys {
  return { ed25519: generateKeyPairSync('ed25519').privateKey }
}

function pairOf(privateKey: PrivateKeys): KeyPair {
  return { privateKey, publicKey: formatPublicKeys(publicHalfOf(privateKey)) }
}

/** Writes the tree to `directory`, which is made anew. */
export function makeTree(directory: string, options: TreeOptions): string {
  const { version, role = 'agent', architecture, key, more = {} } = options
  const manifest = {
    name: `obelisk-${role}`,
    version,
    type: 'module',
    obelisk: { role, architecture, glibc: '2.34', node: '>=20.19' },
  }
  const built = new URL('dist/scripts/obelisk.js', ROOT).href
  const unit = readFileSync(new URL(`systemd/obelisk-${role}.service`, ROOT))
  const texts: [path: string, text: string | Buffer, mode: number][] = [
    [`${role}.mjs`, options.program ?? `// ${version}\n`, 0o644],
    ['obelisk.mjs', `#!/usr/bin/env node\nimport '${built}'\n`, 0o755],
    ['package.json', `${JSON.stringify(manifest, null, 2)}\n`, 0o644],
    [
      `systemd/obelisk-${role}.service`,
      Buffer.concat([unit, Buffer.from(`# ${version}\n`)]),
      0o644,
    ],
    [PUBLIC_KEY_FILE, key.publicKey, 0o644],
    ...Object.entries(more).map(([path, text]) => [path, text, 0o644] as [string, string, number]),
  ]
  rmSync(directory, { recursive: true, force: true })
  const files = texts.map(([path, text, mode]) => {
    const bytes = Buffer.from(text)
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), bytes, { mode })
    return listed({ path, bytes, mode })
  })
  const inventory = { version, role, architecture, files, packages: [], ...options.inventory }
  for (const { path, bytes, mode } of signedOnce(inventory, key.privateKey)) {
    writeFileSync(join(directory, path), bytes, { mode })
  }
  return directory
}

/** By the keys and the list: to sign takes longer than all else here, and the same is signed in the same way. */
const signatures = new WeakMap<PrivateKeys, Map<string, TreeFile[]>>()

function signedOnce(inventory: Inventory, keys: PrivateKeys): TreeFile[] {
  const known = signatures.get(keys) ?? new Map<string, TreeFile[]>()
  const list = JSON.stringify(inventory)
  const signed = known.get(list) ?? signedInventory(inventory, keys)
  signatures.set(keys, known.set(list, signed))
  return signed
}
