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
import { askUnit, collectFacts, findNode } from '../install/collect-facts.ts'
import type { Facts } from '../install/facts.ts'
import { NODE_RANGE, placesOf, programOf, under } from '../install/places.ts'
import type { SystemPrograms } from '../install/system-programs.ts'
import type { Role } from '../package/architectures.ts'
import type { Unseen } from '../path-faults.ts'
import type { DoctorFacts, FileFacts } from './findings.ts'
import type { GatewayProbe } from './gateway-finding.ts'
import { type ProbeOptions, probeGateway } from './gateway-probe.ts'
import { leftOverOf, type Seen, seeGatewayKeys, seeIdentity } from './security-facts.ts'
import { askStatus, type SecurityFacts } from './security-findings.ts'

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

export async function examine(
  options: DoctorOptions,
  programs: SystemPrograms,
): Promise<DoctorFacts> {
  const { role, timeoutMs, environment } = options
  const places = placesOf(role)
  const isRunning = existsSync('/run/systemd/system')
  const installed = await installationOf(role, isRunning, programs)
  const isHidden = (path: string): boolean => installed.unseen.some((one) => one.path === path)
  const configurationFile = options.config ?? (environment.OBELISK_CONFIG || places.configuration)
  const isConfigurationHidden = isHidden(configurationFile)
  const { values, problems } = await configurationOf(role, configurationFile, options)
  const { id, url, topicBase = TOPIC_BASE_DEFAULT } = values as Record<string, string>
  const owner = role === 'gateway' ? ownersSocket() : undefined
  const http = options.http ?? (environment.OBELISK_HTTP || (owner ?? httpOf(values)))
  const seen = seeSecurity(role, values)

  const gateway =
    role === 'agent'
      ? isConfigurationHidden
        ? { probe: notAsked('its address is in the configuration'), offsetMs: undefined }
        : seen.facts.kind === 'hidden' && isSecure({ url: url! })
          ? { probe: notAsked('it asks for the key of this node'), offsetMs: undefined }
          : await askBroker(
              { id: id!, topicBase },
              { url: url!, timeoutMs, identity: seen.identity },
            )
      : { probe: await askHttp(http, timeoutMs), offsetMs: undefined }
  return {
    role,
    unseen: installed.unseen,
    node: installed.node,
    nodeRange: installed.tree?.node ?? NODE_RANGE,
    architecture: architectureOf(process.arch),
    treeArchitecture: installed.tree?.architecture,
    treeProblems: installed.tree?.problems ?? [],
    armVersion: armVersionIn(textOf('/proc/cpuinfo')),
    systemd: { version: installed.systemdVersion, isRunning },
    cgroup: cgroupOf('/'),
    clock: {
      nowMs: Date.now(),
      isSynchronised: isRunning ? await askClock(programs) : undefined,
      offsetMs: gateway.offsetMs ?? (await offsetOverHttp(http, timeoutMs)),
    },
    disk: diskOf(existsSync(places.state) ? places.state : '/var/lib'),
    files: [
      fileOf(configurationFile, {
        isSecret: false,
        isRequired: configurationFile === places.configuration,
      }),
      fileOf(places.credential, { isSecret: true, isRequired: false }),
    ],
    unit: isRunning ? await askUnit(places.unit, programs).catch(() => undefined) : undefined,
    configurationFile,
    configurationProblems: problems,
    gatewayAddress: role === 'agent' ? (url ?? '') : http,
    gateway: gateway.probe,
    security: {
      ...securityOf(role, seen, values, owner?.slice('unix:'.length)),
      status: owner === http ? await askStatus(http, timeoutMs) : undefined,
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

async function askBroker(
  { id, topicBase }: Readonly<Record<'id' | 'topicBase', string>>,
  how: Omit<ProbeOptions, 'topics'>,
) {
  const node = id as NodeId
  const state = buildTopic(topicBase, { kind: 'node-state', node })
  const telemetry = buildTopic(topicBase, { kind: 'node-telemetry-json', node })
  const { probe, retained } = await probeGateway({ ...how, topics: [state, telemetry] })
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
    return { kind: 'reached', roundTripMs, fleet: await askFleet(base, timeoutMs) }
  } catch (error) {
    if (error instanceof ObeliskError && exitCodeOf(error) === EXIT_NOT_ALLOWED) {
      return notAsked("its owner's socket is its owner's alone")
    }
    return { kind: 'refused', detail: linkWords((error as Error).cause ?? error, 'http') }
  }
}

/** Nothing where it says that to others alone. */
async function askFleet(base: string, timeoutMs: number): Promise<DetectorView | undefined> {
  try {
    return await gatewayClient(base).json<DetectorView>({ path: '/api/detector', timeoutMs })
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
): SecurityFacts {
  const { credential } = placesOf(role)
  const url = role === 'agent' ? String(values.url) : undefined
  const { host, port = facts.kind === 'there' ? 8883 : 1883 } = values
  return {
    ...{ folder, identity: facts, exposed, socket },
    isUrlSecure: url !== undefined && isSecure({ url }),
    isOpenBeyondLoopback: url !== undefined && isOpenBeyondLoopback(url),
    token: role === 'agent' && existsSync(credential) ? credential : undefined,
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
  try {
    const words = ['show', '-p', 'NTPSynchronized', '--value']
    const { code, stdout } = await programs.run('timedatectl', words)
    return code === 0 ? stdout.trim() === 'yes' : undefined
  } catch {
    return undefined
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** `CPU architecture: 7`; the kernel of a Pi Zero says 7 too, and its model name ARMv6. */
export function armVersionIn(cpuinfo: string | undefined): number | undefined {
  if (cpuinfo === undefined) return undefined
  if (/^model name\s*:.*ARMv6/m.test(cpuinfo)) return 6
  const said = /^CPU architecture\s*:\s*(\d+)/m.exec(cpuinfo)?.[1]
  return said === undefined ? undefined : Number(said)
}

/** Of the kernel whose /sys, /proc and boot partition are below `root`. */
export function cgroupOf(root: string): DoctorFacts['cgroup'] {
  const at = (path: string): string | undefined => textOf(under(root, path))
  const unified = at('/sys/fs/cgroup/cgroup.controllers')
  const commandLine = at('/proc/cmdline') ?? ''
  const files = ['/boot/firmware/cmdline.txt', '/boot/cmdline.txt']
  const commandLineFile = files.find((path) => existsSync(under(root, path)))
  const isDisabledByKernel = /\bcgroup_disable=memory\b/.test(commandLine)
  const rest = { isDisabledByKernel, commandLineFile }
  if (unified !== undefined) {
    return { version: 2, hasMemory: unified.split(/\s+/).includes('memory'), ...rest }
  }
  // proc(5), cgroups: name, hierarchy, number, enabled.
  const controllers = at('/proc/cgroups')
  if (controllers === undefined) return { version: undefined, hasMemory: false, ...rest }
  return { version: 1, hasMemory: /^memory\s+\d+\s+\d+\s+1$/m.test(controllers), ...rest }
}

function diskOf(path: string): DoctorFacts['disk'] {
  try {
    const { bavail, bsize } = statfsSync(path)
    const { fileSystem, isReadOnly } = mountOf(path)
    return { path, freeBytes: bavail * bsize, isReadOnly, fileSystem }
  } catch {
    return undefined
  }
}

/** The mount that a path is on: the longest that it begins with (proc(5), mountinfo). */
function mountOf(path: string): { fileSystem: string; isReadOnly: boolean } {
  const mounts = (textOf('/proc/self/mountinfo') ?? '').split('\n').map((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const words = before.split(' ')
    return { point: words[4] ?? '', options: words[5] ?? '', fileSystem: after.split(' ')[0] ?? '' }
  })
  const on = mounts
    .filter(({ point }) => point !== '' && `${path}/`.startsWith(point === '/' ? '/' : `${point}/`))
    .sort((a, b) => b.point.length - a.point.length)[0]
  return {
    fileSystem: on?.fileSystem ?? 'unknown',
    isReadOnly: on?.options.split(',').includes('ro') ?? false,
  }
}

export function fileOf(path: string, kind: Pick<FileFacts, 'isSecret' | 'isRequired'>): FileFacts {
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
