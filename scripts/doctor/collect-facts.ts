/** What the doctor looks at. Every look may fail, and then says less instead of ending the visit. */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readFileSync,
  type Stats,
  statfsSync,
  statSync,
} from 'node:fs'
import { machine } from 'node:os'
import { join } from 'node:path'
import { isOpenBeyondLoopback, isSecure } from '../../firmware-agent/adapters/enrolment.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { buildTopic, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'
import type { DetectorView } from '../../shared/protocol/views.ts'
import { linkWords } from '../../shared/runtime/address-hint.ts'
import { architectureOf } from '../../shared/runtime/architecture.ts'
import { ConfigError, type Loaded, loadConfig } from '../../shared/runtime/config.ts'
import { AppError, EXIT_NOT_ALLOWED, messageOf } from '../../shared/runtime/errors.ts'
import type { Environment, OptionTable } from '../../shared/runtime/option-table.ts'
import { gatewayClient } from '../client/node-carrier.ts'
import { HTTP_DEFAULT, ownersSocket } from '../commands/gateway-at-hand.ts'
import { exitCodeOf } from '../commands/refusal.ts'
import { askUnit, collectFacts, type Facts, findNode } from '../install/collect-facts.ts'
import { NODE_RANGE, placesOf, programOf, under } from '../install/places.ts'
import type { SystemPrograms } from '../install/system-programs.ts'
import type { Role } from '../package/architectures.ts'
import type { Unseen } from '../path-faults.ts'
import type { GatewayProbe } from './gateway-finding.ts'
import { probeGateway } from './gateway-probe.ts'
import { leftOverOf, type Seen, seeGatewayKeys, seeIdentity } from './security-facts.ts'
import type { AskedStatus } from './security-findings.ts'

/** Where somebody says that the program has its configuration from; the rest is as the program itself has it. */
export interface Asked {
  readonly config?: string | undefined
  /** Of the gateway, for the agent. */
  readonly url?: string | undefined
  readonly environment: Environment
}

export interface DoctorOptions extends Asked {
  readonly role: Role
  /** Of the gateway, for its clock and, on its own machine, for whether it serves. */
  readonly http?: string | undefined
  readonly timeoutMs: number
}

export type DoctorFacts = Awaited<ReturnType<typeof examine>>

export async function examine(options: DoctorOptions, programs: SystemPrograms) {
  const { role, timeoutMs, environment } = options
  const places = placesOf(role)
  const isRunning = existsSync('/run/systemd/system')
  const installed = await installationOf(role, isRunning, programs)
  const configurationFile = options.config ?? (environment.OBELISK_CONFIG || places.configuration)
  const { values, problems } = await configurationOf(role, configurationFile, options)
  const { id, url } = values as Readonly<Record<string, string | undefined>>
  const owner = role === 'gateway' ? ownersSocket() : undefined
  const http = options.http ?? (environment.OBELISK_HTTP || (owner ?? httpOf(values)))
  const seen = seeSecurity(role, values)
  const isHidden = installed.unseen.some(({ path }) => path === configurationFile)
  const gateway: AskedGateway =
    role === 'gateway'
      ? { probe: await askHttp(http, timeoutMs) }
      : isHidden
        ? { probe: notAsked('its address is in the configuration') }
        : await askBroker(values, seen, timeoutMs)
  const status =
    owner === http
      ? await answerOf<AskedStatus>(http, '/api/security/status', timeoutMs)
      : undefined
  return {
    role,
    /** What could not be looked at; in the rest it counts as missing. */
    unseen: installed.unseen,
    node: installed.node,
    nodeRange: installed.tree?.node ?? NODE_RANGE,
    architecture: architectureOf(process.arch),
    /** Of the installed tree, if there is one. */
    treeArchitecture: installed.tree?.architecture,
    treeProblems: installed.tree?.problems ?? [],
    armVersion: armVersionOf(machine()),
    systemd: { version: installed.systemdVersion, isRunning },
    cgroup: cgroupOf('/'),
    clock: {
      nowMs: Date.now(),
      isSynchronised: isRunning ? await askClock(programs) : undefined,
      offsetMs: gateway.offsetMs ?? (await offsetOverHttp(http, timeoutMs)),
    },
    disk: await diskOf(existsSync(places.state) ? places.state : '/var/lib', programs),
    files: [
      fileOf(configurationFile, {
        isSecret: false,
        isRequired: configurationFile === places.configuration,
      }),
      fileOf(places.credential, { isSecret: true, isRequired: false }),
    ],
    unit: isRunning ? await askUnit(places.unit, programs).catch(() => undefined) : undefined,
    /** Where the program is configured, whether or not it is there. */
    configurationFile,
    configurationProblems: problems,
    gatewayAddress: role === 'agent' ? (url ?? '') : http,
    gateway: gateway.probe,
    security: {
      ...securityOf(role, seen, values, owner?.slice('unix:'.length)),
      status: status?.authority === undefined ? undefined : status,
    },
    id,
  }
}

async function installationOf(
  role: Role,
  isLive: boolean,
  programs: SystemPrograms,
): Promise<Pick<Facts, 'node' | 'unseen'> & Partial<Facts>> {
  try {
    return await collectFacts({ role, root: '/', isLive }, programs)
  } catch (error) {
    // Without systemctl, say: the rest is still worth a look.
    const fault =
      error instanceof AppError
        ? error
        : new AppError('unreadable', messageOf(error), { cause: error })
    const unseen: Unseen[] = [{ path: placesOf(role).tree, fault }]
    return { node: await findNode('/', NODE_RANGE, programs), unseen }
  }
}

function notAsked(detail: string): GatewayProbe {
  return { kind: 'not-asked', detail }
}

/** As the program reads it: a file that was named, the environment, and `--url`. */
async function configurationOf(
  role: Role,
  file: string,
  { config, url, environment }: Asked,
): Promise<{ values: Record<string, unknown>; problems: readonly string[] }> {
  const program = programOf(role)
  const isNamed = config !== undefined || Boolean(environment.OBELISK_CONFIG)
  const argv = [
    '--config',
    isNamed || isReadable(file) ? file : '/dev/null',
    ...(url === undefined || role === 'gateway' ? [] : ['--url', url]),
  ]
  try {
    return { values: valuesOf(await loadConfig(program, argv, environment)), problems: [] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const values = valuesOf(await loadConfig(program, ['--config', '/dev/null'], {}))
    return { values, problems: error.problems }
  }
}

function valuesOf(loaded: Loaded<OptionTable>): Record<string, unknown> {
  return loaded.kind === 'options' ? loaded.values : {}
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

/** Where the gateway of this configuration has its HTTP door; that of an agent says nothing of it. */
function httpOf({ httpHost, httpPort }: Record<string, unknown>): string {
  if (httpPort === undefined) return HTTP_DEFAULT
  const host = String(httpHost)
  return `http://${host.includes(':') ? `[${host}]` : host}:${httpPort}`
}

interface AskedGateway {
  readonly probe: GatewayProbe
  readonly offsetMs?: number | undefined
}

async function askBroker(
  values: Record<string, unknown>,
  { facts, identity }: Seen,
  timeoutMs: number,
): Promise<AskedGateway> {
  const { url, topicBase = TOPIC_BASE_DEFAULT } = values as Record<'url' | 'topicBase', string>
  if (facts.kind === 'hidden' && isSecure({ url })) {
    return { probe: notAsked('it asks for the key of this node') }
  }
  const node = values.id as NodeId
  const state = buildTopic(topicBase, { kind: 'node-state', node })
  const telemetry = buildTopic(topicBase, { kind: 'node-telemetry-json', node })
  const topics = [state, telemetry]
  const { probe, retained } = await probeGateway({ url, topics, timeoutMs, identity })
  const isNodeOnline = retained.get(state) === 'online'
  return {
    probe: probe.kind === 'reached' ? { ...probe, isNodeOnline } : probe,
    offsetMs: offsetIn(retained.get(telemetry)),
  }
}

/** As the node said it last: the gateway's clock against its own. */
function offsetIn(telemetry: string | undefined): number | undefined {
  if (telemetry === undefined) return undefined
  try {
    const { clock_offset_ms: offset } = JSON.parse(telemetry) as { clock_offset_ms?: unknown }
    return typeof offset === 'number' ? offset : undefined
  } catch {
    return undefined
  }
}

async function askHttp(base: string, timeoutMs: number): Promise<GatewayProbe> {
  const startMs = performance.now()
  try {
    if (base.startsWith('unix:')) {
      await gatewayClient(base).request({ path: '/readyz', timeoutMs })
    } else {
      const signal = AbortSignal.timeout(timeoutMs)
      const { status } = await fetch(`${base}/readyz`, { signal })
      if (status !== 200) return { kind: 'not-a-gateway', detail: `/readyz says ${status}` }
    }
    const roundTripMs = performance.now() - startMs
    return {
      kind: 'reached',
      roundTripMs,
      fleet: await answerOf<DetectorView>(base, '/api/detector', timeoutMs),
    }
  } catch (error) {
    if (error instanceof ObeliskError && exitCodeOf(error) === EXIT_NOT_ALLOWED) {
      return notAsked("its owner's socket is its owner's alone")
    }
    return { kind: 'refused', detail: linkWords((error as Error).cause ?? error, 'http') }
  }
}

/** Nothing where it says that to others alone; that it does not answer is a finding of its own. */
export async function answerOf<T>(
  base: string,
  path: string,
  timeoutMs: number,
): Promise<T | undefined> {
  try {
    return await gatewayClient(base).json<T>({ path, timeoutMs })
  } catch {
    return undefined
  }
}

function seeSecurity(role: Role, values: Record<string, unknown>): Seen & { folder: string } {
  const { identities, state } = placesOf(role)
  if (role === 'gateway') {
    const data = existsSync(state) ? state : String(values.data)
    const folder = join(data, 'security')
    return { folder, ...seeGatewayKeys(folder) }
  }
  const named = values.identity
  const [first] = identities
  const isService = existsSync(state)
  const folder = isService ? (identities.find((path) => existsSync(path)) ?? first!) : String(named)
  return { folder, ...seeIdentity(folder, values.id as NodeId) }
}

function securityOf(
  role: Role,
  { folder, facts, exposed }: Seen & { folder: string },
  values: Record<string, unknown>,
  socket: string | undefined,
) {
  const { credential } = placesOf(role)
  const url = role === 'agent' ? String(values.url) : undefined
  const { host, port = facts.kind === 'there' ? 8883 : 1883 } = values
  return {
    /** Where the identity is, or the gateway's keys. */
    folder,
    identity: facts,
    /** Keys that others may read. */
    exposed,
    /** Of the owner of a gateway, if there is one. */
    socket,
    isUrlSecure: url !== undefined && isSecure({ url }),
    /** The URL of the gateway goes over the network in the clear. */
    isOpenBeyondLoopback: url !== undefined && isOpenBeyondLoopback(url),
    /** The file of the token, if it is there. */
    token: role === 'agent' && existsSync(credential) ? credential : undefined,
    /** A folder of keys that are in no use. */
    leftOver: role === 'gateway' ? leftOverOf(folder) : undefined,
    listens: role === 'gateway' && host !== undefined ? `${host} port ${port}` : undefined,
  }
}

/** HTTP dates have seconds; what is less than that is no offset. */
async function offsetOverHttp(base: string, timeoutMs: number): Promise<number | undefined> {
  try {
    const { headers } = await fetch(`${base}/healthz`, { signal: AbortSignal.timeout(timeoutMs) })
    const said = Date.parse(headers.get('date') ?? '')
    if (Number.isNaN(said)) return undefined
    const offsetMs = said + 500 - Date.now()
    return Math.abs(offsetMs) < 1000 ? 0 : offsetMs
  } catch {
    return undefined
  }
}

async function askClock(programs: SystemPrograms): Promise<boolean | undefined> {
  const said = await programs.told('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'])
  return said === undefined ? undefined : said === 'yes'
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Of what uname(1) calls the machine. */
export function armVersionOf(name: string): number | undefined {
  if (name === 'aarch64') return 8
  const said = /^armv(\d)/.exec(name)?.[1]
  return said === undefined ? undefined : Number(said)
}

/** Of the kernel whose /sys, /proc and boot partition are below `root`. */
export function cgroupOf(root: string) {
  const at = (path: string): string | undefined => textOf(under(root, path))
  const unified = at('/sys/fs/cgroup/cgroup.controllers')
  const commandLine = at('/proc/cmdline') ?? ''
  const files = ['/boot/firmware/cmdline.txt', '/boot/cmdline.txt']
  const commandLineFile = files.find((path) => existsSync(under(root, path)))
  const isDisabledByKernel = /\bcgroup_disable=memory\b/.test(commandLine)
  // The file is that of a Raspberry Pi.
  const rest = { isDisabledByKernel, commandLineFile }
  if (unified !== undefined) {
    return { version: 2, hasMemory: unified.split(/\s+/).includes('memory'), ...rest }
  }
  // proc(5), cgroups: name, hierarchy, number, enabled.
  const controllers = at('/proc/cgroups')
  if (controllers === undefined) return { version: undefined, hasMemory: false, ...rest }
  return { version: 1, hasMemory: /^memory\s+\d+\s+\d+\s+1$/m.test(controllers), ...rest }
}

async function diskOf(path: string, programs: SystemPrograms) {
  try {
    const { bavail, bsize } = statfsSync(path)
    const words = ['--noheadings', '--raw', '--output', 'FSTYPE,OPTIONS', '--target', path]
    const said = await programs.told('findmnt', words)
    const [fileSystem = 'unknown', options = ''] = said?.split(' ') ?? []
    return { path, freeBytes: bavail * bsize, isReadOnly: /^ro\b/.test(options), fileSystem }
  } catch {
    return undefined
  }
}

/** `isRequired`: the unit has to read it, by a path through directories that it may pass. */
export function fileOf(path: string, kind: { isSecret: boolean; isRequired: boolean }) {
  const seen = statsOf(path)
  const mode = seen === undefined ? undefined : seen.mode & 0o7777
  return { path, mode, isRootOwned: seen?.uid === 0, ...kind }
}

/** Nothing for what is not there, and for what may not be looked at. */
function statsOf(path: string): Stats | undefined {
  try {
    return existsSync(path) ? statSync(path) : lstatSync(path)
  } catch {
    return undefined
  }
}
