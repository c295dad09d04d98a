/** lmdb's native part, by architecture. */
import type { Architecture } from './architectures.ts'
import { armv6Native } from './armhf-native.ts'
import { strip, versionsNeeded } from './elf.ts'
import { readNpmFile } from './npm-package.ts'

export interface NativePart {
  readonly bytes: Buffer
  /** The oldest glibc that it loads with, `2.34`. */
  readonly glibc: string
  /** Likewise of libstdc++, by the version of its symbols, `3.4.29`. */
  readonly libstdcxx: string
}

/** N-API only: it loads in every Node, now and later. */
const PREBUILT = 'node.napi.glibc.node'

const NPM_PACKAGES: Readonly<Record<Exclude<Architecture, 'armhf'>, string>> = {
  amd64: '@lmdb/lmdb-linux-x64',
  arm64: '@lmdb/lmdb-linux-arm64',
}

export function nativePart(architecture: Architecture): NativePart {
  const bytes =
    architecture === 'armhf'
      ? armv6Native('armhf')
      : strip(readNpmFile(NPM_PACKAGES[architecture], PREBUILT))
  const needed = versionsNeeded(bytes)
  return { bytes, glibc: needed.get('GLIBC')!, libstdcxx: needed.get('GLIBCXX')! }
}
