/** Runs programs of the system, and says which Debian package one that is missing comes from. */

import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { own } from '../../shared/core/own.ts'
import { fault } from '../fault.ts'

export interface ProgramResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const PACKAGES: Readonly<Record<string, string>> = {
  dd: 'coreutils',
  mcopy: 'mtools',
  mdeltree: 'mtools',
  mdir: 'mtools',
  mmd: 'mtools',
  sfdisk: 'fdisk',
  systemctl: 'systemd',
  tar: 'tar',
  xz: 'xz-utils',
}

/** What a program prints beyond this is lost. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024

export class SystemPrograms {
  readonly #environment: Readonly<Record<string, string>>

  /** Of the environment only the search path and the place of temporary files are passed on. */
  constructor(environment: Readonly<Record<string, string | undefined>>) {
    const { PATH, TMPDIR } = environment
    this.#environment = {
      // Where mtools and systemctl are, for users who do not have these on their path.
      PATH: `${PATH ?? '/usr/bin:/bin'}:/usr/sbin:/sbin`,
      LC_ALL: 'C',
      MTOOLS_SKIP_CHECK: '1',
      ...(TMPDIR === undefined ? {} : { TMPDIR }),
    }
  }

  /** `descriptors` are of open files that it gets, from number 3 on. */
  async run(
    name: string,
    argv: readonly string[],
    descriptors: readonly number[] = [],
  ): Promise<ProgramResult> {
    const child = this.start(name, argv, { stdio: ['ignore', 'pipe', 'pipe', ...descriptors] })
    const texts = { stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]!.setEncoding('utf8')
      child[stream]!.on('data', (text: string) => {
        if (texts[stream].length < OUTPUT_BYTES_MAX) texts[stream] += text
      })
    }
    return await new Promise((resolve, reject) => {
      child.on('error', (error) => reject(startFailure(name, error)))
      child.on('close', (code) => resolve({ code: code ?? 1, ...texts }))
    })
  }

  /** As `run`, for whoever may not be there any more when it ends. */
  runNow(name: string, argv: readonly string[]): void {
    spawnSync(name, [...argv], { stdio: 'ignore', env: this.#environment })
  }

  start(name: string, argv: readonly string[], options: SpawnOptions): ChildProcess {
    return spawn(name, [...argv], { ...options, env: this.#environment })
  }
}

/** Of a program that could not be started. */
export function startFailure(name: string, error: Error): Error {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return error
  const from = own(PACKAGES, name)
  const remedy = from === undefined ? '' : `: sudo apt install ${from}`
  return fault('program-missing', `the program ${name} is not installed${remedy}`, error)
}
