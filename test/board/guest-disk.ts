/** Disks for virtual machines: files, made from a tree without a mount. */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MIB = 1024 * 1024
const SECTOR = 512
const ROOT_MIB = 1600
/** As in images of Raspberry Pi OS; mtools refuse a FAT32 with few clusters. */
const BOOT_MIB = 512
const BOOT_START_MIB = 4
/** Of images for boards, some wait for the boot partition and some, as this one, do not. */
const CARD_FSTAB = `LABEL=rootfs / ext4 defaults 0 1
LABEL=bootfs /boot/firmware vfat defaults,nofail 0 2
`

/** The whole disk is one file system. */
export function makeRootDisk(path: string, tree: string): void {
  sparse(path, ROOT_MIB)
  execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', '-L', 'rootfs', '-d', tree, path])
}

/** Puts a file into such a disk. */
export function copyInto(disk: string, file: string, path: string): void {
  execFileSync('debugfs', ['-w', '-R', `write ${file} ${path}`, disk], { stdio: 'pipe' })
}

/** As images for boards are: a FAT partition to boot from, and the root behind it. */
export function makeCardImage(path: string, tree: string, commandLine: string): void {
  const rootStartMib = BOOT_START_MIB + BOOT_MIB
  sparse(path, rootStartMib + ROOT_MIB)
  writePartitionTable(path, [
    { type: 0x0c, startMib: BOOT_START_MIB, sizeMib: BOOT_MIB },
    { type: 0x83, startMib: rootStartMib, sizeMib: ROOT_MIB },
  ])
  const boot = ['--offset', `${(BOOT_START_MIB * MIB) / SECTOR}`, '-F', '32', '-n', 'bootfs']
  execFileSync('mkfs.vfat', [...boot, path, `${BOOT_MIB * 1024}`], { stdio: 'pipe' })
  const root = ['-q', '-F', '-t', 'ext4', '-L', 'rootfs', '-d', tree]
  const offset = ['-E', `offset=${rootStartMib * MIB}`]
  execFileSync('mke2fs', [...root, ...offset, path, `${ROOT_MIB}M`])
  const directory = mkdtempSync(join(tmpdir(), 'obelisk-card-'))
  try {
    writeFileSync(join(directory, 'cmdline.txt'), `${commandLine}\n`)
    execFileSync('mcopy', ['-i', bootOf(path), join(directory, 'cmdline.txt'), '::'])
    writeFileSync(join(directory, 'fstab'), CARD_FSTAB)
    const rootOf = `${path}?offset=${rootStartMib * MIB}`
    execFileSync('debugfs', ['-w', '-R', 'rm /etc/fstab', rootOf], { stdio: 'pipe' })
    copyInto(rootOf, join(directory, 'fstab'), '/etc/fstab')
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What a board would be started with. */
export function commandLineOf(card: string): string {
  return execFileSync('mtype', ['-i', bootOf(card), '::cmdline.txt'], { encoding: 'utf8' }).trim()
}

/** The files in its boot partition, as mdir shows them. */
export function bootFilesOf(card: string): string {
  return execFileSync('mdir', ['-b', '-/', '-i', bootOf(card), '::'], { encoding: 'utf8' })
}

function bootOf(card: string): string {
  return `${card}@@${BOOT_START_MIB * MIB}`
}

function sparse(path: string, sizeMib: number): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, sizeMib * MIB)
  closeSync(file)
}

interface Partition {
  readonly type: number
  readonly startMib: number
  readonly sizeMib: number
}

function writePartitionTable(path: string, partitions: readonly Partition[]): void {
  const table = Buffer.alloc(SECTOR)
  partitions.forEach(({ type, startMib, sizeMib }, index) => {
    const at = 446 + index * 16
    table[at + 4] = type
    table.writeUInt32LE((startMib * MIB) / SECTOR, at + 8)
    table.writeUInt32LE((sizeMib * MIB) / SECTOR, at + 12)
  })
  table.writeUInt16LE(0xaa55, SECTOR - 2)
  const file = openSync(path, 'r+')
  writeSync(file, table, 0, SECTOR, 0)
  closeSync(file)
}
