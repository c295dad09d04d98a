/**
 * Network namespaces around one hub, joined to it by a pair of virtual interfaces each, where packets can
 * be lost both ways. They know no other network than this. Their names carry the id of this process;
 * what a process left that was ended before its teardown is removed by the next.
 */
import { execFileSync } from 'node:child_process'
import type { Test } from 'tap'
import { beforeTheEnd } from './processes.ts'

const HUB = 'hub'
/** Of the block for documentation [RFC 5737]: nothing outside could be meant. */
const HUB_ADDRESS = '192.0.2.1'
const PREFIX = 'obelisk-test'

export interface Losses {
  readonly passed: number
  readonly lost: number
}

const open = new Set<NetworkNamespaces>()
// A test that is ended from outside has no teardown.
beforeTheEnd(() => {
  for (const namespaces of open) namespaces.remove()
})

export class NetworkNamespaces {
  readonly hubAddress = HUB_ADDRESS
  readonly #made: string[] = []
  readonly #spokes: string[] = []

  /** Why this machine does not allow it, or nothing. */
  static obstacle(): string | undefined {
    const probe = new NetworkNamespaces()
    try {
      probe.#make(HUB)
      probe.spoke('probe')
      probe.lose(0.1)
      return undefined
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: Buffer }
      return `no lossy network namespaces here: ${String(stderr || message).trim()}`
    } finally {
      probe.remove()
    }
  }

  static open(t: Test): NetworkNamespaces {
    removeAbandoned()
    const namespaces = new NetworkNamespaces()
    open.add(namespaces)
    t.teardown(() => {
      namespaces.remove()
      open.delete(namespaces)
    })
    namespaces.#make(HUB)
    return namespaces
  }

  private constructor() {}

  /** A namespace that reaches the hub. */
  spoke(name: string): void {
    this.#make(name)
    const [hub, own] = [this.#full(HUB), this.#full(name)]
    this.#spokes.push(name)
    const index = this.#spokes.length
    const address = `192.0.2.${index + 1}`
    ip('-n', hub, 'link', 'add', `spoke${index}`, 'type', 'veth', 'peer', 'hub0', 'netns', own)
    ip('-n', hub, 'addr', 'add', HUB_ADDRESS, 'peer', address, 'dev', `spoke${index}`)
    ip('-n', own, 'addr', 'add', address, 'peer', HUB_ADDRESS, 'dev', 'hub0')
    ip('-n', hub, 'link', 'set', `spoke${index}`, 'up')
    ip('-n', own, 'link', 'set', 'hub0', 'up')
  }

  /** From now on this share of the packets between the hub and its spokes is lost, each way. */
  lose(probability: number): void {
    const random = ['-m', 'statistic', '--mode', 'random', '--probability', `${probability}`]
    this.#spokes.forEach((name, index) => {
      const interfaces = [
        [HUB, `spoke${index + 1}`],
        [name, 'hub0'],
      ]
      for (const [where, device] of interfaces) {
        const input = ['-A', 'INPUT', '-i', device!]
        const command = ['netns', 'exec', this.#full(where!), 'iptables', '-w']
        ip(...command, ...input, ...random, '-j', 'DROP')
        ip(...command, ...input, '-j', 'ACCEPT')
      }
    })
  }

  /** Packets that came into a namespace since they are being lost there. */
  losses(name: string): Losses {
    const exec = ['netns', 'exec', this.#full(name), 'iptables', '-w']
    const lines = ip(...exec, '-L', 'INPUT', '-n', '-v', '-x').split('\n')
    const sum = (target: string): number =>
      lines
        .map((line) => line.trim().split(/\s+/))
        .filter((words) => words[2] === target)
        .reduce((total, words) => total + Number(words[0]), 0)
    return { passed: sum('ACCEPT'), lost: sum('DROP') }
  }

  get names(): string[] {
    return [HUB, ...this.#spokes]
  }

  /** What runs a command there: it is replaced by that command, and keeps its process id. */
  command(name: string): [program: string, ...argv: string[]] {
    return ['ip', 'netns', 'exec', this.#full(name)]
  }

  /** Interfaces go with their namespace; processes must have ended. */
  remove(): void {
    for (const name of this.#made.splice(0)) ip('netns', 'delete', name)
  }

  #make(name: string): void {
    ip('netns', 'add', this.#full(name))
    this.#made.push(this.#full(name))
    ip('-n', this.#full(name), 'link', 'set', 'lo', 'up')
  }

  #full(name: string): string {
    return `${PREFIX}-${process.pid}-${name}`
  }
}

function ip(...argv: readonly string[]): string {
  return execFileSync('ip', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function removeAbandoned(): void {
  for (const name of ip('netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0]!)) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) ip('netns', 'delete', name)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
