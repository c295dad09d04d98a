/** Runs programs of the system, and says which Debian package one that is missing comes from. */

import { type StdioOptions, spawn, spawnSync } from 'node:child_process'
import type { Readable } from 'node:stream'
import { own } from '../../shared/core/own.ts'
import { fault } from '../fault.ts'

interface Ended {
  readonly code: number
  /** Without white space around it. */
  readonly stderr: string
}

export interface ProgramResult extends Ended {
  readonly stdout: string
}

interface Given {
  readonly input?: Readable
  /** Of open files, from number 3 on. */
  readonly descriptors?: readonly number[]
}

interface Piped {
  readonly output: Readable
  readonly ended: Promise<Ended>
  readonly stop: () => void
}

const PACKAGES: Readonly<Record<string, string>> = {
  'arm-linux-gnueabi-gcc': 'gcc-arm-linux-gnueabi',
  'arm-linux-gnueabi-g++': 'g++-arm-linux-gnueabi',
  'arm-linux-gnueabihf-g++': 'g++-arm-linux-gnueabihf',
  dd: 'coreutils',
  'dpkg-deb': 'dpkg',
  mcopy: 'mtools',
  mdeltree: 'mtools',
  mdir: 'mtools',
  mmd: 'mtools',
  mtype: 'mtools',
  npm: 'npm',
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

  /** To its end. */
  async run(name: string, argv: readonly string[], given: Given = {}): Promise<ProgramResult> {
    const { output, ended } = this.pipe(name, argv, given)
    let stdout = ''
    output.setEncoding('utf8').on('data', (text: string) => {
      if (stdout.length < OUTPUT_BYTES_MAX) stdout += text
    })
    // Told by `ended`.
    output.on('error', () => {})
    return { ...(await ended), stdout }
  }

  /** What it prints; nothing where it is missing, cannot run here, or fails. */
  async told(name: string, argv: readonly string[]): Promise<string | undefined> {
    const { code, stdout } = await this.run(name, argv).catch(() => ({ code: 1, stdout: '' }))
    return code === 0 ? stdout.trim() : undefined
  }

  /** As `run`, for whoever may not be there any more when it ends. */
  runNow(name: string, argv: readonly string[]): void {
    spawnSync(name, [...argv], { stdio: 'ignore', env: this.#environment })
  }

  /** A program whose output is read as it comes; its end says what it complained of. */
  pipe(name: string, argv: readonly string[], { input, descriptors = [] }: Given = {}): Piped {
    const first = input === undefined ? 'ignore' : 'pipe'
    const stdio: StdioOptions = [first, 'pipe', 'pipe', ...descriptors]
    const child = spawn(name, [...argv], { stdio, env: this.#environment })
    let stderr = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < OUTPUT_BYTES_MAX) stderr += text
    })
    const ended = new Promise<Ended>((resolve, reject) => {
      child.on('error', (error) => reject(startFailure(name, error)))
      child.on('close', (code) => resolve({ code: code ?? 1, stderr: stderr.trim() }))
    })
    // Whoever reads the output is told the reason, and not only that it is cut off.
    ended.catch((error) => child.stdout!.destroy(error))
    if (input !== undefined) {
      input.once('error', (error) => {
        child.stdout!.destroy(error)
        child.kill()
      })
      // It says itself why it closed its input.
      child.stdin!.on('error', () => {})
      input.pipe(child.stdin!)
    }
    return { output: child.stdout!, ended, stop: () => void child.kill() }
  }
}

/** Of a program that could not be started. */
export function startFailure(name: string, error: Error): Error {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return error
  const from = own(PACKAGES, name)
  const remedy = from === undefined ? '' : `: sudo apt install ${from}`
  return fault('program-missing', `the program ${name} is not installed${remedy}`, error)
}
