/**
 * Cuts what runs in this process off from the world at one step of its work, as the end of a process or of
 * power would: the step does not happen, nor does any that comes after it, whatever the code that is under
 * way tries to tidy up. A step is a call that changes the file system, or a program that is started.
 */
import childProcess from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const CHANGES = [
  ...['chmodSync', 'cpSync', 'fchmodSync', 'fsyncSync', 'linkSync', 'mkdirSync', 'mkdtempSync'],
  ...['renameSync', 'rmSync', 'rmdirSync', 'symlinkSync', 'truncateSync', 'unlinkSync'],
  ...['writeFileSync', 'writeSync'],
] as const

type Call = (...argv: unknown[]) => unknown

class CutOff extends Error {}

export interface Cut {
  /** Whether the work got as far as the step. */
  readonly isCut: boolean
  /** The step that did not happen. */
  readonly step: string
}

/** The steps of the work, which is done to its end: the call, and the first thing that it is about. */
export async function stepsOf(work: () => Promise<unknown>): Promise<string[]> {
  const steps: string[] = []
  await cutAt(Number.POSITIVE_INFINITY, work, (name, argv) => steps.push(`${name} ${argv[0]}`))
  return steps
}

/** Runs the work up to that step, counted from 1. `before` is told of each step that is to happen. */
export async function cutAt(
  at: number,
  work: () => Promise<unknown>,
  before: (name: string, argv: readonly unknown[]) => void = () => {},
): Promise<Cut> {
  let count = 0
  let step = ''
  const files = fs as unknown as Record<string, Call>
  const processes = childProcess as unknown as Record<string, Call>
  const remove = files.rmSync!
  const originals: [Record<string, Call>, string, Call][] = []
  const guard = (owner: Record<string, Call>, name: string, isChange = (_: unknown[]) => true) => {
    const original = owner[name]!
    originals.push([owner, name, original])
    owner[name] = (...argv) => {
      if (!isChange(argv)) return original(...argv)
      count += 1
      if (count === at) step = `${name} ${String(argv[0])}`
      if (count >= at) {
        tear(name, argv, original)
        throw new CutOff(`cut off at step ${at}, ${step}`)
      }
      before(name, argv)
      return original(...argv)
    }
  }
  /** What takes several steps of the kernel has done some of them. */
  const tear = (name: string, argv: unknown[], original: Call): void => {
    if (count > at) return
    if (name === 'rmSync') removeSome(String(argv[0]), remove)
    if (name === 'cpSync') {
      original(...argv)
      removeSome(String(argv[1]), remove)
    }
    if (name === 'writeFileSync' && Buffer.isBuffer(argv[1])) {
      original(argv[0], argv[1].subarray(0, argv[1].length / 2))
    }
  }
  for (const name of CHANGES) guard(files, name)
  guard(files, 'openSync', ([, flags]) => typeof flags === 'string' && flags !== 'r')
  guard(processes, 'spawn')
  syncBuiltinESMExports()
  try {
    await work()
  } catch (error) {
    if (count < at) throw error
  } finally {
    for (const [owner, name, original] of originals) owner[name] = original
    syncBuiltinESMExports()
  }
  return { isCut: count >= at, step }
}

/** Every second entry of a directory. */
function removeSome(path: string, remove: Call): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return
  const names = fs.readdirSync(path).sort()
  for (const name of names.filter((_, index) => index % 2 === 0)) {
    remove(`${path}/${name}`, { recursive: true, force: true })
  }
}
