/** A file system in memory, small enough to be filled, for the directory of a process. */
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { beforeTheEnd } from './processes.ts'

const MIB = 1024 * 1024

export class SmallDisk {
  readonly path: string

  /**
   * Mounts it until the test is over; where that is not allowed the test is to end here, and says that it was
   * skipped. To be called before the processes that use it are started: what was set up first is taken down last.
   * `filesMax` counts directories and links too, and its own.
   */
  static mount(t: Test, sizeMib: number, filesMax = 1000): SmallDisk | undefined {
    if (process.platform !== 'linux') return skipped(t, 'tmpfs is of Linux')
    const path = mkdtempSync(join(tmpdir(), 'obelisk-disk-'))
    const argv = ['-t', 'tmpfs', '-o', `size=${sizeMib}m,nr_inodes=${filesMax}`, 'none', path]
    const { status, stderr } = spawnSync('mount', argv, { encoding: 'utf8' })
    if (status === 0) {
      let isMounted = true
      const unmount = (): void => {
        if (!isMounted) return
        isMounted = false
        // Lazily: a process that was only just killed may still be in it.
        spawnSync('umount', ['-l', path])
        rmdirSync(path)
      }
      t.teardown(unmount)
      beforeTheEnd(unmount)
      return new SmallDisk(path)
    }
    rmdirSync(path)
    return skipped(
      t,
      `a file system cannot be mounted here: ${stderr?.trim() ?? 'there is no mount'}`,
    )
  }

  private constructor(path: string) {
    this.path = path
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  /** Makes it what lies at `path`. */
  standInFor(path: string): void {
    symlinkSync(this.path, path)
  }

  /** Writes a file of zeros that leaves this much. */
  fillUpTo(freeBytes: number): void {
    this.empty()
    const file = openSync(join(this.path, 'filler'), 'w')
    const block = Buffer.alloc(MIB)
    for (let rest = this.freeBytes - freeBytes; rest > 0; ) {
      rest -= writeSync(file, block, 0, Math.min(rest, MIB))
    }
    closeSync(file)
  }

  /** Takes that file away. */
  empty(): void {
    rmSync(join(this.path, 'filler'), { force: true })
  }
}

function skipped(t: Test, why: string): undefined {
  t.pass(why, { skip: why })
}
