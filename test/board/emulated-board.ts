/** The boards that are emulated, and the package of each with what its emulated Node can load. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { armv6Native } from '../../scripts/package/armhf-native.ts'
import { artifact } from './artifacts.ts'
import type { ArmArchitecture } from './debian-tree.ts'

export const BOARDS: Readonly<Record<ArmArchitecture, string>> = {
  armel: 'Pi Zero (ARMv6)',
  armhf: 'Pi 2 (ARMv7)',
  arm64: 'Pi Zero 2 W (64 bit)',
}

/** Unpacks the package of an agent below `directory`; the path of its program. */
export async function unpackAgent(
  architecture: ArmArchitecture,
  directory: string,
): Promise<string> {
  const packaged = architecture === 'armel' ? 'armhf' : architecture
  const tree = join(directory, `tree-${architecture}`)
  mkdirSync(tree)
  const archive = artifact('agent', 'tar.gz', packaged)
  execFileSync('tar', ['-xf', archive, '-C', tree, '--strip-components=1'])
  // Debian has no hard-float Node for ARMv6, and the one that it has cannot load what is packaged.
  if (architecture === 'armel') writeFileSync(join(tree, 'lmdb.node'), armv6Native('armel'))
  return join(tree, 'agent.mjs')
}
