/** A small image of a Raspberry Pi card, made with the real tools: a FAT32 to boot from, and room behind. */
import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`
const SECTOR = 512
const START = 8192
/** Of clusters of one sector: FAT32 as real cards have, where mtools wants 65,525, and a quicker FAT16. */
const FAT_SECTORS = { 32: 80_000, 16: 16_384 } as const

export const COMMAND_LINE =
  'console=serial0,115200 console=tty1 root=PARTUUID=1234-02 rootfstype=ext4 fsck.repair=yes rootwait cgroup_disable=memory quiet\n'

/** The tools that are missing, or nothing. */
export function missingTools(): string | undefined {
  const tools = { sfdisk: 'fdisk', 'mkfs.vfat': 'dosfstools', mcopy: 'mtools', xz: 'xz-utils' }
  const missing = Object.entries(tools)
    .filter(([name]) => !isThere(name))
    .map(([name, from]) => `${name} (apt install ${from})`)
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`
}

function isThere(name: string): boolean {
  try {
    execFileSync('/bin/sh', ['-c', `command -v ${name}`], { env: { PATH }, stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export function tool(name: string, argv: readonly string[], input?: string): string {
  const env = { PATH, MTOOLS_SKIP_CHECK: '1', LC_ALL: 'C' }
  const stdio = ['pipe', 'pipe', 'pipe'] as const
  return execFileSync(name, [...argv], { env, stdio: [...stdio], input: input ?? '' }).toString()
}

export interface ImageOptions {
  readonly label?: 'dos' | 'gpt'
  /** Files of the boot partition. */
  readonly files?: Readonly<Record<string, string>>
  readonly hasFat?: boolean
  readonly bits?: 16 | 32
}

export const BOARD_FILES: Readonly<Record<string, string>> = {
  'cmdline.txt': COMMAND_LINE,
  'config.txt': 'arm_64bit=1\n',
  'kernel8.img': 'a kernel',
}

/** Makes the image at `path`; what is empty in it takes no room. */
export function makeImage(path: string, options: ImageOptions = {}): string {
  const { label = 'dos', files = BOARD_FILES, hasFat = true, bits = 16 } = options
  const fatSectors = FAT_SECTORS[bits]
  rmSync(path, { force: true })
  const sectors = START + fatSectors + 8192 + 64
  const descriptor = openSync(path, 'w')
  ftruncateSync(descriptor, sectors * SECTOR)
  closeSync(descriptor)
  const types = label === 'dos' ? ['c', '83'] : ['U', 'L']
  tool(
    'sfdisk',
    ['-q', path],
    `label: ${label}\nstart=${START},size=${fatSectors},type=${types[0]}\nstart=${START + fatSectors},size=8000,type=${types[1]}\n`,
  )
  if (!hasFat) return path
  const kib = String((fatSectors * SECTOR) / 1024)
  tool('mkfs.vfat', ['-F', String(bits), '-s', '1', '--offset', String(START), path, kib])
  for (const [name, text] of Object.entries(files)) {
    const source = `${path}.file`
    writeFileSync(source, text)
    tool('mcopy', ['-i', place(path), source, `::/${name}`])
    rmSync(source)
  }
  return path
}

function place(path: string): string {
  return `${path}@@${START * SECTOR}`
}

export function readFromImage(path: string, name: string): string {
  return tool('mcopy', ['-n', '-i', place(path), `::/${name}`, '-'])
}

/** All of the boot partition, as the board would see it below `directory`. */
export function unpackBoot(path: string, directory: string): void {
  mkdirSync(directory, { recursive: true })
  tool('mcopy', ['-n', '-s', '-i', place(path), '::/*', join(directory, '.')])
}

/** Fills the boot partition up to `leftBytes`. */
export function fillBoot(path: string, leftBytes: number): void {
  const free = Number(
    /([\d ]+) bytes free/.exec(tool('mdir', ['-i', place(path), '::/']))![1]!.replaceAll(' ', ''),
  )
  const source = `${path}.filler`
  const descriptor = openSync(source, 'w')
  ftruncateSync(descriptor, free - leftBytes)
  closeSync(descriptor)
  tool('mcopy', ['-i', place(path), source, '::/filler'])
  rmSync(source)
}
