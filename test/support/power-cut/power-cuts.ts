/** Records one run of a store and has the images of many power cuts judged, each in a child process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Random } from '../../../shared/core/random.ts'
import { databasePath } from '../../../shared/runtime/lmdb.ts'
import { buildShim } from '../preloaded.ts'
import { TYPESCRIPT } from '../typescript/node-options.ts'
import { imageAt } from './disk-image.ts'
import { type DiskRecord, readRecording } from './recording.ts'

const PROGRAM = fileURLToPath(new URL('process.ts', import.meta.url))
const SHIM_SOURCE = fileURLToPath(new URL('shim.c', import.meta.url))
/** An image that takes longer hangs. */
const IMAGE_LIMIT_MS = 60_000
const OTHER_BOOT_ID = '5a5a5a5a-0000-4000-8000-5a5a5a5a5a5a\n'

export interface Violation {
  readonly image: number
  /** The record that was under way. */
  readonly at: number
  readonly survival: string
  readonly problem: string
}

export interface Verdicts {
  readonly images: number
  readonly violations: readonly Violation[]
}

export type SubjectName = 'slice' | 'ledger'

/** A test that is ended from outside takes them along. */
const running = new Set<ChildProcess>()

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class PowerCuts {
  /** Everything lies in here; it is worth keeping when something was found. */
  readonly directory: string
  readonly #shim: string

  /** Nothing, and why, if the library cannot be built or preloaded here. */
  static prepare(directory?: string): PowerCuts | string {
    const made = directory ?? mkdtempSync(join(tmpdir(), 'obelisk-power-cut-'))
    mkdirSync(made, { recursive: true })
    const shim = join(made, 'shim.so')
    const obstacle = buildShim(SHIM_SOURCE, shim)
    if (obstacle === undefined) return new PowerCuts(made, shim)
    if (directory === undefined) rmSync(made, { recursive: true, force: true })
    return obstacle
  }

  private constructor(directory: string, shim: string) {
    this.directory = directory
    this.#shim = shim
    writeFileSync(join(directory, 'boot-id'), OTHER_BOOT_ID)
  }

  recordingOf(subject: SubjectName): string {
    return join(this.directory, `${subject}.recording`)
  }

  /** Uses a store until its end, and reads what was written down. */
  async record(subject: SubjectName, seed: number): Promise<DiskRecord[]> {
    const root = join(this.directory, subject)
    const acknowledgements = join(this.directory, `${subject}.said`)
    const child = this.#start(['record', subject, root, `${seed}`, acknowledgements], {
      POWER_CUT_LOG: this.recordingOf(subject),
      POWER_CUT_ROOT: root,
      POWER_CUT_ACKNOWLEDGEMENTS: acknowledgements,
    })
    child.stdout!.resume()
    const { code, signal } = await endOf(child)
    if (code !== 0) throw new Error(`the recorded process ended with ${signal ?? code}`)
    return readRecording(this.recordingOf(subject))
  }

  /** Whether the recording, with everything on disk, is the file that is there. */
  isComplete(subject: SubjectName, records: readonly DiskRecord[]): boolean {
    const cut = { at: records.length, survival: 'everything', areFlushesIgnored: false } as const
    const file = readFileSync(join(databasePath(join(this.directory, subject)), 'data.mdb'))
    return file.equals(imageAt(records, cut, new Random(0)).bytes)
  }

  /** Judges images `first` to `first + images - 1` of the seed. */
  async judge(
    subject: SubjectName,
    seed: number,
    { first = 0, images, areFlushesIgnored = false }: JudgeOptions,
  ): Promise<Verdicts> {
    const violations: Violation[] = []
    const end = first + images
    for (let next = first; next < end; ) {
      const flushes = areFlushesIgnored ? 'ignored' : 'kept'
      const files = [this.recordingOf(subject), join(this.directory, `${subject}-images`)]
      const argv = ['judge', subject, ...files, `${seed}`, `${next}`, `${end - next}`, flushes]
      const child = this.#start(argv, {
        POWER_CUT_BOOT_ID: join(this.directory, 'boot-id'),
        POWER_CUT_UNFLUSHED: '1',
      })
      next = await this.#follow(child, next, end, violations)
    }
    return { images, violations }
  }

  /** The image to go on with after the end of this child. */
  async #follow(
    child: ChildProcess,
    first: number,
    end: number,
    violations: Violation[],
  ): Promise<number> {
    let opened: Omit<Violation, 'problem'> | undefined
    let next = first
    const gone = endOf(child)
    let isHanging = false
    const limit = setTimeout(() => {
      isHanging = true
      child.kill('SIGKILL')
    }, IMAGE_LIMIT_MS)
    for await (const text of createInterface(child.stdout!)) {
      limit.refresh()
      const line = JSON.parse(text) as Violation & { judged?: string | null }
      if (line.judged === undefined) {
        opened = line
        continue
      }
      if (line.judged !== null) violations.push({ ...opened!, problem: line.judged })
      next = line.image + 1
    }
    clearTimeout(limit)
    const { code, signal } = await gone
    if (code === 0 && next === end) return next
    if (opened === undefined) throw new Error(`it ended with ${signal ?? code} before any image`)
    const problem = isHanging ? 'it hung' : `it died: ${signal ?? code}`
    violations.push({ ...opened, problem })
    return opened.image + 1
  }

  #start(argv: readonly string[], variables: Readonly<Record<string, string>>): ChildProcess {
    const child = spawn(process.execPath, [TYPESCRIPT, PROGRAM, ...argv], {
      env: { ...process.env, ...variables, LD_PRELOAD: this.#shim },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    running.add(child)
    child.once('close', () => running.delete(child))
    return child
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export interface JudgeOptions {
  readonly first?: number
  readonly images: number
  readonly areFlushesIgnored?: boolean
}

async function endOf(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}
