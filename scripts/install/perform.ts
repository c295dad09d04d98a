/** Carries steps out, one after the other, each a whole change: nothing is left half-written. */
import { chmodSync, lstatSync, mkdirSync, rmdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { AppError, EXIT_CONFIG, EXIT_SOFTWARE } from '../../shared/runtime/errors.ts'
import { isThere } from '../../shared/runtime/private-folder.ts'
import { faultOf, inWords } from '../path-faults.ts'
import { linkWhole, writeWhole } from '../whole-file.ts'
import { type AskedUnit, askUnit } from './collect-facts.ts'
import { under } from './places.ts'
import { endOf, Readiness, type ReadinessLimits } from './readiness.ts'
import { describe, type Step } from './steps.ts'
import type { SystemPrograms } from './system-programs.ts'
import { placeTree, restoreTree } from './tree-swap.ts'

/** How often a unit that is waited for is asked. */
const POLL_MS = 500

export interface PerformOptions {
  readonly root: string
  readonly limits: ReadinessLimits
}

/** A unit that was started and is not ready. */
class NotReadyError extends AppError {
  constructor(message: string, exitCode: number) {
    super('not-ready', message, { exitCode })
  }
}

export class Performer {
  readonly #options: PerformOptions
  readonly #programs: SystemPrograms
  readonly #say: (line: string) => void

  constructor(options: PerformOptions, programs: SystemPrograms, say: (line: string) => void) {
    this.#options = options
    this.#programs = programs
    this.#say = say
  }

  async perform(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      this.#say(describe(step, this.#options.root))
      try {
        await this.#do(step)
      } catch (error) {
        const path = 'path' in step ? step.path : 'to' in step ? step.to : undefined
        if (path === undefined) throw error
        throw faultOf(error, under(this.#options.root, path), 'changed')
      }
    }
  }

  async #do(step: Step): Promise<void> {
    const at = (path: string): string => under(this.#options.root, path)
    switch (step.do) {
      case 'make-directory':
        makeDirectory(at(step.path), step.mode)
        break
      case 'write-file':
        makeDirectory(dirname(at(step.path)), 0o755)
        writeWhole(at(step.path), step.text, step.mode)
        break
      case 'place-tree':
        makeDirectory(dirname(at(step.to)), 0o755)
        await placeTree({ ...step, to: at(step.to), previous: at(step.previous) }, this.#programs)
        break
      case 'restore-tree':
        await restoreTree(at(step.from), at(step.to), this.#programs)
        break
      case 'link':
        makeDirectory(dirname(at(step.path)), 0o755)
        linkWhole(at(step.path), step.target)
        break
      case 'remove':
        remove(at(step.path))
        break
      case 'systemctl':
        await this.#systemctl(step.words, step.mayFail === true)
        break
      case 'watch':
        await this.#watch(step.unit, step.mustJoin)
        break
      case 'forget-token':
        await this.#forgetToken(step.unit, at(step.path), step.identities.map(at))
        break
    }
  }

  async #systemctl(words: readonly string[], mayFail: boolean): Promise<void> {
    const { code, stderr } = await this.#programs.run('systemctl', words)
    if (code !== 0 && !mayFail) {
      throw new NotReadyError(`systemctl ${words.join(' ')}: ${stderr}`, 1)
    }
  }

  async #forgetToken(unit: string, path: string, identities: readonly string[]): Promise<void> {
    await this.#until(unit, (seen, elapsedMs) => {
      if (identities.some(isThere)) {
        remove(path)
        return true
      }
      if (seen.activeState === 'failed') {
        const message = `${unit} got no identity: ${endOf(seen)}; ${hintOf(unit)}`
        throw new NotReadyError(message, EXIT_CONFIG)
      }
      if (elapsedMs < this.#options.limits.joinMs) return false
      this.#say(`${unit} has no identity yet (${seen.statusText}); it goes on asking`)
      this.#say(`its token stays in ${path}: once it has joined, the same command removes it`)
      return true
    })
  }

  async #watch(unit: string, mustJoin: boolean): Promise<void> {
    const readiness = new Readiness(this.#options.limits, mustJoin)
    await this.#until(unit, (seen, elapsedMs) => {
      const verdict = readiness.judge(elapsedMs, seen)
      if (verdict.kind === 'failed') {
        const message = `${unit} is not ready: ${verdict.reason}; ${hintOf(unit)}`
        throw new NotReadyError(message, EXIT_SOFTWARE)
      }
      if (verdict.kind === 'wait') return false
      if (seen.statusText !== '') this.#say(`${unit}: ${seen.statusText}`)
      return true
    })
  }

  /** Looks at the unit until that is enough. */
  async #until(unit: string, look: (seen: AskedUnit, elapsedMs: number) => boolean): Promise<void> {
    const startMs = performance.now()
    const pollMs = Math.min(POLL_MS, this.#options.limits.steadyMs / 4)
    while (!look(await askUnit(unit, this.#programs), performance.now() - startMs)) {
      await setTimeout(pollMs)
    }
  }
}

function hintOf(unit: string): string {
  return `journalctl -u ${unit} -n 20 says why`
}

/** Parents too, as everyone may read; the last has the mode. A parent that fails is named itself. */
function makeDirectory(path: string, mode: number): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return
  makeDirectory(dirname(path), 0o755)
  inWords(path, 'changed', () => {
    mkdirSync(path)
    chmodSync(path, mode)
  })
}

/** A directory of ours that is empty now goes too. */
function remove(path: string): void {
  rmSync(path, { recursive: true, force: true })
  const directory = dirname(path)
  if (!/\/(obelisk|obelisk-\w+\.service\.d)$/.test(directory)) return
  try {
    rmdirSync(directory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error
  }
}
