/** A package of Debian: what is installed, and what dpkg is told of it (deb-control(5)). */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { completionScript, type Shell } from '../commands/completion.ts'
import { manPage } from '../commands/man-page.ts'
import { ownTree } from '../commands/program.ts'
import { NODE_RANGE, SYSTEMD_LEAST } from '../install/places.ts'
import type { Role } from './architectures.ts'
import { compress, packDeb } from './archive.ts'
import { CHECKOUT } from './checkout.ts'
import type { TreeFile } from './inventory.ts'
import { PackagingError } from './packaging-error.ts'
import type { TreeParts } from './tree.ts'

export interface DebParts extends Pick<TreeParts, 'role' | 'architecture' | 'version' | 'native'> {
  readonly tree: readonly TreeFile[]
  readonly seconds: number
}

const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'] as const

const SUMMARIES: Readonly<Record<Role, string>> = {
  agent: 'holds a slice of a grid of numbers and computes on it',
  gateway: 'MQTT broker and coordinator of a fleet of Obelisk agents',
}

export function writeDeb(parts: DebParts): Buffer {
  const { seconds, role } = parts
  const installed = installedFiles(parts)
  const control = [
    { path: 'control', bytes: Buffer.from(controlOf(parts, installed)), mode: 0o644 },
    ...SCRIPTS.map((name) => ({ path: name, bytes: scriptOf(name, role), mode: 0o755 })),
  ]
  const about = control.map((file) => ({ ...file, path: `DEBIAN/${file.path}` }))
  return packDeb([...installed, ...about], seconds)
}

function installedFiles({ role, tree, version }: DebParts): TreeFile[] {
  const textOf = (path: string): string =>
    Buffer.from(tree.find((file) => file.path === path)!.bytes).toString('utf8')
  const copyright = [textOf('NOTICE'), textOf('LICENSE'), textOf('THIRD-PARTY.txt')].join('\n')
  const moved = (path: string, from: string): TreeFile => ({
    ...tree.find((file) => file.path === from)!,
    path,
  })
  const documents = `usr/share/doc/obelisk-${role}`
  const unit = `obelisk-${role}.service`
  return [
    ...tree.map((file) => ({ ...file, path: `usr/lib/obelisk-${role}/${file.path}` })),
    moved(`lib/systemd/system/${unit}`, `systemd/${unit}`),
    moved(`${documents}/operations.md`, 'operations.md'),
    { path: `${documents}/copyright`, bytes: Buffer.from(copyright), mode: 0o644 },
    ...shellFiles(role, version),
  ]
}

/**
 * The page of the manual and the completions. Both packages have them, under names of their own: which is seen is an
 * alternative of `obelisk` (debian/postinst).
 */
function shellFiles(role: Role, version: string): TreeFile[] {
  const tree = ownTree()
  const script = (shell: Shell): Buffer => Buffer.from(completionScript(shell, tree))
  const files: [path: string, bytes: Buffer][] = [
    [`man/man1/obelisk-${role}.1.gz`, compress(Buffer.from(manPage(tree, version)))],
    [`bash-completion/completions/obelisk-${role}`, script('bash')],
    [`zsh/vendor-completions/_obelisk-${role}`, script('zsh')],
    [`fish/vendor_completions.d/obelisk-${role}.fish`, script('fish')],
  ]
  return files.map(([path, bytes]) => ({ path: `usr/share/${path}`, bytes, mode: 0o644 }))
}

function controlOf(
  { role, architecture, version, native }: DebParts,
  installed: readonly TreeFile[],
): string {
  const kibibytes = installed.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 1024), 0)
  const depends = [
    `nodejs (${NODE_RANGE.replace('>=', '>= ')})`,
    `libc6 (>= ${native.glibc})`,
    `libstdc++6 (>= ${gccOf(native.libstdcxx)})`,
    `systemd (>= ${SYSTEMD_LEAST})`,
  ]
  return `Package: obelisk-${role}
Version: ${version}
Architecture: ${architecture}
Maintainer: The Obelisk authors
Installed-Size: ${kibibytes}
Depends: ${depends.join(', ')}
Section: net
Priority: optional
Description: Obelisk ${role}: ${SUMMARIES[role]}
 A gateway and a fleet of small Linux boards hold one large grid of numbers
 together and compute on it where the numbers lie. This is the ${role}.
`
}

/** The last 3.4.x of a GCC. */
const GCC_OF = { 21: 5, 22: 6, 24: 7, 25: 8, 26: 9, 28: 10, 29: 11, 30: 12 } as const

/** The GCC that libstdc++ had a version of its symbols with first (its manual, ABI policy). */
function gccOf(symbols: string): number {
  const minor = Number(/^3\.4\.(\d+)$/.exec(symbols)?.[1])
  const gcc = Object.entries(GCC_OF).find(([last]) => minor <= Number(last))?.[1]
  if (gcc !== undefined) return gcc
  throw new PackagingError(`no GCC is known for GLIBCXX_${symbols}`)
}

function scriptOf(name: string, role: Role): Buffer {
  const text = readFileSync(join(CHECKOUT, 'scripts/package/debian', name), 'utf8')
  return Buffer.from(text.replaceAll('@ROLE@', role))
}
