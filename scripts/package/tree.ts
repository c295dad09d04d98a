/** The files of a package: what is installed as `/usr/lib/obelisk-<role>`, and signed. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts'
import { type Architecture, type Role, UPGRADE_UNITS } from './architectures.ts'
import { CHECKOUT } from './checkout.ts'
import { listed, PUBLIC_KEY_FILE, signedInventory, type TreeFile } from './inventory.ts'
import type { NativePart } from './native-part.ts'
import { formatPublicKeys, type PrivateKeys, publicHalfOf } from './signing-keys.ts'
import { type Bundles, thirdPartyOf } from './third-party.ts'

export interface TreeParts {
  readonly role: Role
  readonly architecture: Architecture
  readonly version: string
  readonly bundles: Bundles
  readonly native: NativePart
  readonly key: PrivateKeys
  /** The newest version that it may take the place of, if of any that is newer. */
  readonly downgradeFrom?: string | undefined
}

const PLAIN = 0o644
const PROGRAM = 0o755

export function assembleTree(parts: TreeParts): TreeFile[] {
  const { role, architecture, version, bundles, native, key, downgradeFrom } = parts
  const unit = `systemd/obelisk-${role}.service`
  const thirdParty = thirdPartyOf(bundles.packages)
  const files: TreeFile[] = [
    ...bundles.files,
    { path: 'lmdb.node', bytes: native.bytes, mode: PLAIN },
    plainFile('package.json', describePackage(parts)),
    copied(unit, unit),
    ...(role === 'agent'
      ? UPGRADE_UNITS.map((name) => copied(`systemd/${name}`, `systemd/${name}`))
      : []),
    copied('install.sh', 'scripts/package/install.sh', PROGRAM),
    copied('first-boot.sh', 'scripts/image/first-boot.sh', PROGRAM),
    copied('LICENSE', 'LICENSE'),
    copied('NOTICE', 'NOTICE'),
    copied('operations.md', 'docs/operations.md'),
    plainFile('THIRD-PARTY.txt', thirdParty.text),
    plainFile(PUBLIC_KEY_FILE, formatPublicKeys(publicHalfOf(key))),
  ]
  const inventory = {
    version,
    role,
    architecture,
    files: files.map(listed),
    packages: thirdParty.packages,
    protocol: PROTOCOL_VERSION,
    ...(downgradeFrom === undefined ? {} : { downgradeFrom }),
  }
  return [...files, ...signedInventory(inventory, key)]
}

function describePackage({ role, architecture, version, native }: TreeParts): string {
  const { engines } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
    engines: { node: string }
  }
  const obelisk = { role, architecture, glibc: native.glibc, node: engines.node }
  const about = { name: `obelisk-${role}`, version, license: 'Apache-2.0', type: 'module', obelisk }
  return `${JSON.stringify(about, null, 2)}\n`
}

function plainFile(path: string, text: string): TreeFile {
  return { path, bytes: Buffer.from(text), mode: PLAIN }
}

function copied(path: string, source: string, mode = PLAIN): TreeFile {
  return { path, bytes: readFileSync(join(CHECKOUT, source)), mode }
}

/** Puts a tree into a directory, whatever the umask is. */
export function writeTree(directory: string, files: readonly TreeFile[]): void {
  for (const { path, bytes, mode } of files) {
    const target = join(directory, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, bytes)
    chmodSync(target, mode)
  }
  chmodSync(directory, PROGRAM)
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), PROGRAM)
  }
}
