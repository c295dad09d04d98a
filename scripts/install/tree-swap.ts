/**
 * Trees put in each other's place. At every moment, also one in which power fails, a whole tree is there:
 * the two change places in one step of the kernel (renameat2(2), RENAME_EXCHANGE).
 */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { flush } from '../../shared/runtime/flush.ts'
import { isThere } from '../../shared/runtime/private-folder.ts'
import { INVENTORY_FILE, restoreModes } from '../package/inventory.ts'
import { partialOf, writeWhole } from '../whole-file.ts'
import { failedOf, unprovenOf } from './places.ts'
import type { Step } from './steps.ts'
import type { SystemPrograms } from './system-programs.ts'
import { badTree, isSound, problemsOf, readTree } from './tree.ts'

type Placing = Omit<Extract<Step, { do: 'place-tree' }>, 'do' | 'from' | 'version'>

/** Puts a copy of what nobody else can write to `to`: copied beside it, checked, flushed, and then swapped with what is there. */
export async function placeTree(placing: Placing, programs: SystemPrograms): Promise<void> {
  const { copy: from, to, previous, isKept, trustedKey } = placing
  const copy = partialOf(to)
  rmSync(copy, { recursive: true, force: true })
  try {
    cpSync(from, copy, { recursive: true })
    const problems = problemsOf(copy, trustedKey)
    if (problems.length > 0) throw badTree(copy, problems)
    restoreModes(copy)
    flushTree(copy)
  } catch (error) {
    rmSync(copy, { recursive: true, force: true })
    throw error
  }
  if (isKept) await replaceAndKeep(copy, to, previous, programs)
  else await replace(copy, to, programs)
}

/** The tree that was kept takes its place again. */
export async function restoreTree(
  from: string,
  to: string,
  programs: SystemPrograms,
): Promise<void> {
  const failed = readTree(to)
  // A damaged one is no way back by itself.
  if (isSound(failed)) writeWhole(unprovenOf(to), failed.inventory, 0o644)
  await replace(from, to, programs)
  flush(dirname(to))
  rmSync(unprovenOf(to), { force: true })
}

/** `copy` takes the place of `to`. What was there is `previous` from then on, and never has the name of litter. */
async function replaceAndKeep(
  copy: string,
  to: string,
  previous: string,
  programs: SystemPrograms,
): Promise<void> {
  const unproven = unprovenOf(to)
  rmSync(previous, { recursive: true, force: true })
  writeWhole(unproven, readFileSync(join(copy, INVENTORY_FILE)), 0o644)
  renameSync(copy, previous)
  if (!(await exchange(previous, to, programs))) {
    renameSync(previous, copy)
    // The next run finds `previous`, should power fail in between.
    renameSync(to, previous)
    renameSync(copy, to)
  }
  flush(dirname(to))
  rmSync(unproven, { force: true })
}

/** `from` takes the place of `to`, and what was there goes. */
async function replace(from: string, to: string, programs: SystemPrograms): Promise<void> {
  let old = from
  if (!isThere(to)) renameSync(from, to)
  else if (!(await exchange(from, to, programs))) {
    old = failedOf(to)
    rmSync(old, { recursive: true, force: true })
    renameSync(to, old)
    renameSync(from, to)
  }
  flush(dirname(to))
  rmSync(old, { recursive: true, force: true })
}

/** Of each architecture that has packages (syscalls(2)), by Node's name of it. */
const RENAMEAT2 = new Map([
  ['x64', 316],
  ['arm64', 276],
  ['arm', 382],
])
/** AT_FDCWD is -100, and RENAME_EXCHANGE 2. */
const EXCHANGE_IN_PERL = 'exit(syscall($ARGV[0]+0, -100, $ARGV[1], -100, $ARGV[2], 2) == 0 ? 0 : 1)'

/** Says whether it was done. Node has no such call, and the Perl that every Debian has can make any. */
async function exchange(one: string, other: string, programs: SystemPrograms): Promise<boolean> {
  const words = [String(RENAMEAT2.get(process.arch) ?? -1), one, other]
  const result = await programs.run('perl', ['-e', EXCHANGE_IN_PERL, ...words]).catch(() => {})
  return result?.code === 0
}

function flushTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) flushTree(path)
    else flush(path)
  }
  flush(directory)
}
