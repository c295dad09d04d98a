/**
 * The two wrappings of a package, by tar(1) and dpkg-deb(1): the same bytes for the same files, which are sorted, owned by
 * root and all of one time.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { TreeFile } from './inventory.ts'
import { inTemporary, runTool } from './tool.ts'
import { writeTree } from './tree.ts'

/** Of files below `top`, compressed. */
export function packTarball(files: readonly TreeFile[], top: string, seconds: number): Buffer {
  return inTemporary((directory) => {
    writeTree(join(directory, top), files)
    const root = ['--owner=root:0', '--group=root:0', '--format=ustar', '--sort=name']
    const words = [...root, `--mtime=@${seconds}`, '--directory', directory, '--create', top]
    return compress(runTool('tar', words))
  })
}

/** `files` are what is installed and, below `DEBIAN`, what dpkg is told of it. */
export function packDeb(files: readonly TreeFile[], seconds: number): Buffer {
  return inTemporary((directory) => {
    const tree = join(directory, 'tree')
    const deb = join(directory, 'deb')
    writeTree(tree, files)
    // It brings back what is newer, and does not touch what is older.
    runTool('find', [tree, '-exec', 'touch', '--date', `@${seconds}`, '{}', '+'])
    runTool('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', tree, deb], {
      env: { PATH: '/usr/bin:/bin', TMPDIR: directory, SOURCE_DATE_EPOCH: `${seconds}` },
    })
    return readFileSync(deb)
  })
}

/** gzip without a name or time in its header. */
export function compress(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: 9 })
}
