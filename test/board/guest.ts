/**
 * A virtual machine of QEMU with 256 MB, emulated throughout, and a channel on which it runs commands. Its
 * disk lives on in a file when it is cut off from power; what it had not written is lost with its memory.
 * It is of a kind that Debian's kernel for clouds has built in, so that there is no initial file system.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { eventually, within } from '../support/processes.ts'
import { tapLines } from '../support/tap-output.ts'
import { CHANNEL } from './guest-tree.ts'

/** What the kernel calls the disk, and its second partition. */
export const DISK = '/dev/nvme0n1'
export const DISK_PART_2 = `${DISK}p2`

const MEMORY_MIB = 256
/** Without that which makes udev load the modules of a hypervisor. */
const PROCESSOR = 'qemu64,-svm'
const BOOT_MS_MAX = 900_000
const COMMAND_MS_MAX = 900_000
/** What is emulated beside much else takes its time. */
const KERNEL_OPTIONS = [
  ...['console=ttyS0', 'net.ifnames=0', 'systemd.default_device_timeout_sec=900'],
  ...['systemd.default_timeout_start_sec=900', 'systemd.mask=serial-getty@ttyS0.service'],
  'systemd.mask=systemd-resolved.service',
]
const SERIAL_LINES_SHOWN = 60

export interface GuestOptions {
  /** Where its kernel is. */
  readonly tree: string
  readonly disk: string
  /** The kernel's command line, but for the console. */
  readonly commandLine: string
  readonly processors: number
  /** For the socket and the log of its console. */
  readonly directory: string
}

export interface Said {
  readonly code: number
  readonly text: string
}

export class Guest {
  readonly #options: GuestOptions
  readonly #process: ChildProcess
  readonly #exited: Promise<unknown>
  #channel: Socket | undefined
  readonly #waiting = new Map<string, (said: Said) => void>()
  #commands = 0

  /** Switches it on. */
  constructor(options: GuestOptions) {
    this.#options = options
    const boot = join(options.tree, 'boot')
    const kernel = readdirSync(boot).find((name) => name.startsWith('vmlinuz'))!
    const drive = `file=${options.disk},format=raw,if=none,id=disk,cache=writeback`
    this.#process = spawn(
      'qemu-system-x86_64',
      [
        ...['-accel', 'tcg', '-cpu', PROCESSOR, '-smp', `${options.processors}`],
        ...['-m', `${MEMORY_MIB}`, '-display', 'none', '-monitor', 'none'],
        ...['-no-reboot', '-nodefaults', '-kernel', join(boot, kernel)],
        ...['-append', [options.commandLine, ...KERNEL_OPTIONS].join(' ')],
        ...['-drive', drive, '-device', 'nvme,drive=disk,serial=disk'],
        ...['-device', 'virtio-rng-pci'],
        ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
        ...['-serial', `file:${this.#serialPath}`, '-device', 'virtio-serial-pci'],
        ...['-chardev', `socket,id=channel,path=${this.#socketPath},server=on,wait=off`],
        ...['-device', `virtserialport,chardev=channel,name=${CHANNEL}`],
      ],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    )
    this.#exited = once(this.#process, 'exit')
  }

  get #serialPath(): string {
    return join(this.#options.directory, 'console.log')
  }

  get #socketPath(): string {
    return join(this.#options.directory, 'channel.sock')
  }

  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  /** What it said on its console last. */
  get console(): string {
    const lines = tapLines(readFileSync(this.#serialPath, 'utf8')).split('\n')
    return lines.slice(-SERIAL_LINES_SHOWN).join('\n')
  }

  /** Waits until it takes commands. */
  async booted(): Promise<this> {
    const socket = await eventually('the channel', () => this.#connect(), BOOT_MS_MAX)
    this.#channel = socket
    // It passes on the errors of its input: a machine that is cut off resets the connection.
    const lines = createInterface({ input: socket }).on('error', () => {})
    lines.on('line', (line) => {
      const [id = '', code, text = ''] = line.split(' ')
      const written = tapLines(Buffer.from(text, 'base64').toString())
      this.#waiting.get(id)?.({ code: Number(code), text: written })
      this.#waiting.delete(id)
    })
    // It stays in the channel until the guest opens it.
    const died = this.#exited.then(() => {
      throw new Error(`the machine went off:\n${this.console}`)
    })
    died.catch(() => {})
    await Promise.race([this.run('true', BOOT_MS_MAX), died])
    return this
  }

  async #connect(): Promise<Socket | undefined> {
    if (this.hasExited) throw new Error(`QEMU ended with ${this.#process.exitCode}`)
    const socket = createConnection(this.#socketPath)
    try {
      await once(socket, 'connect')
      socket.on('error', () => {})
      return socket
    } catch {
      return undefined
    }
  }

  /** Runs a script of bash. */
  async try(script: string, limitMs = COMMAND_MS_MAX): Promise<Said> {
    this.#commands += 1
    const id = `${this.#commands}`
    const said = new Promise<Said>((resolve) => this.#waiting.set(id, resolve))
    this.#channel!.write(`${id} ${Buffer.from(script).toString('base64')}\n`)
    return await within(`the guest's answer to: ${script}`, said, limitMs)
  }

  /** The same, for a script that must succeed; what it printed. */
  async run(script: string, limitMs = COMMAND_MS_MAX): Promise<string> {
    const { code, text } = await this.try(script, limitMs)
    if (code !== 0) throw new Error(`in the guest: ${script}\nended with ${code}: ${text}`)
    return text.trim()
  }

  /** Its end, by its own doing: it is told not to reboot. */
  async off(limitMs = BOOT_MS_MAX): Promise<void> {
    await within('the machine to go off', this.#exited, limitMs)
  }

  /** The power is gone, now. */
  async cut(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exited
  }
}
