/** Looks at the system, or at the files of one below another root, for the plan to decide on. */
import { existsSync, lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { architectureOf } from '../../shared/runtime/architecture.ts'
import { fault, namedText, unreadable } from '../fault.ts'
import type { Role } from '../package/architectures.ts'
import { Sight } from '../path-faults.ts'
import {
  isNewEnough,
  litterOf,
  NODE_PATHS,
  NODE_RANGE,
  otherRole,
  placesOf,
  under,
  unprovenOf,
  writtenOf,
} from './places.ts'
import type { SystemPrograms } from './system-programs.ts'
import { isSound, readOffered, readTree, type TreeFacts, trustedKeyOf } from './tree.ts'
import type { PrivateCopy } from './tree-copy.ts'

export interface FactsOptions {
  readonly role: Role
  readonly root: string
  /** Whether systemd runs, and is that of the root. */
  readonly isLive: boolean
  /** Of the tree of `--from`. */
  readonly copy?: PrivateCopy | undefined
  /** A file with the public key that a tree must be signed by. */
  readonly releaseKey?: string | undefined
}

/** Of a file its text and mode; of a link those of what it leads to, if it leads anywhere. */
export interface Entry {
  readonly target?: string
  readonly text?: string
  readonly mode?: number
}

/** What is known of an installation before it is changed: what the plans decide on. */
export type Facts = Awaited<ReturnType<typeof collectFacts>>

/** A plan from less than what is there would be another one. */
export function checkSeen({ unseen }: Facts): void {
  for (const { fault } of unseen) throw fault
}

/** Throws AppError: what is offered cannot be read or is not sound. */
export async function collectFacts(
  { role, root, isLive, copy, releaseKey }: FactsOptions,
  programs: SystemPrograms,
) {
  const places = placesOf(role)
  const at = (path: string): string => under(root, path)
  const key = releaseKey === undefined ? undefined : namedText('--release-key', releaseKey)
  const sight = new Sight()
  const textOf = (path: string): string | undefined =>
    sight.look(at(path), () => readFileSync(at(path), 'utf8'))
  const isThere = (path: string): boolean =>
    sight.look(at(path), () => lstatSync(at(path))) !== undefined
  const treeOf = (path: string) => sight.look(at(path), () => readTree(at(path)))
  const tree = treeOf(places.tree)
  const previous = judgePrevious(treeOf(places.previous), textOf(unprovenOf(places.tree)))
  const trustedKey =
    key ?? (copy && trustedKeyOf([places.tree, places.previous].map((path) => at(path))))
  const offered = copy && readOffered(copy, trustedKey)
  const best = offered ?? [tree, previous].find(isSound)
  const litter = litterOf(places)
    .filter(({ path, isTree }) => (isTree ? isThere(path) : isFile(at(path))))
    .map(({ path }) => path)
  const others = [places.tree, places.previous, ...places.kept].filter(isThere)
  const entries = new Map([...litter, ...others].map((path): [string, Entry] => [path, {}]))
  for (const path of writtenOf(places)) {
    const entry = sight.look(at(path), () => entryOf(at(path), root))
    if (entry !== undefined) entries.set(path, entry)
  }
  const unit = isLive ? await askUnit(places.unit, programs) : undefined
  return {
    root,
    /** Of another root only the package tells. */
    architecture: root === '/' ? architectureOf(process.arch) : (best?.architecture ?? ''),
    /** The Node that the unit is to run. */
    node: await findNode(root, best?.node ?? NODE_RANGE, programs),
    systemdVersion: numberIn(
      isLive ? await programs.told('systemctl', ['--version']) : packagedVersion(root, 'systemd'),
    ),
    /** Whether systemd can be asked; not below another root. */
    isLive,
    tree,
    offered,
    /** Where its files are, which nobody else can change. */
    offeredCopy: copy?.path,
    /** PEM of the key that a tree must be signed by; without one, by its own. */
    trustedKey,
    /** What an upgrade left: it did not get to say that the new version is ready. */
    previous,
    isOwnedByDpkg: isListed(textOf(places.dpkgList), places.tree),
    /** Directories of files that an installation writes, where these are not there yet. */
    missing: [places.configuration, places.credential, places.dropIn]
      .map(dirname)
      .filter((path) => !existsSync(at(path))),
    /** What there is of what an installation writes, leaves or removes, by path. */
    entries: Object.fromEntries(entries),
    /** Of an agent: a secured gateway knows it, and it needs no token any more. */
    hasIdentity: role === 'agent' && places.identities.some((path) => existsSync(at(path))),
    /** A person has seen to it that nothing starts the unit. */
    isMasked: isMask(at(places.unitFile)) || unit?.isMasked === true,
    /** Whether the other program is installed beside this one. */
    hasOther: existsSync(at(placesOf(otherRole(role)).tree)),
    unit,
    /** What could not be looked at: above, it counts as missing. */
    unseen: sight.unseen,
  }
}

/** Of a run that power has cut off it may be the version that was never ready. */
function judgePrevious(
  previous: TreeFacts | undefined,
  unproven: string | undefined,
): TreeFacts | undefined {
  if (previous === undefined || previous.inventory !== unproven) return previous
  return { ...previous, problems: [...previous.problems, 'it was never ready'] }
}

/** dpkg has a list of a package that was removed and not purged, too: without its files. */
function isListed(list: string | undefined, path: string): boolean {
  return list?.split('\n').includes(path) === true
}

/** As `systemctl mask` leaves it. */
function isMask(path: string): boolean {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
  return isLink && readlinkSync(path) === '/dev/null'
}

function isFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false
}

/** What is named has to be there; whether it is a package is another question. Throws AppError. */
export function checkFrom(from: string): void {
  try {
    if (statSync(from).isDirectory()) return
  } catch (error) {
    throw unreadable('--from', error)
  }
  const isTarball = /\.(tar\.gz|tgz)$/.test(from)
  const remedy = isTarball ? `unpack it first (tar -xzf ${from}), and name` : 'name'
  const message = `--from: ${from} is a file: ${remedy} the directory of the unpacked package`
  throw fault('unreadable', message)
}

/** Nothing for what `systemctl mask` leaves, either. */
function entryOf(path: string, root: string): Entry | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined || isMask(path)) return undefined
  const fileOf = (file: string): Entry => ({
    text: readFileSync(file, 'utf8'),
    mode: statSync(file).mode & 0o7777,
  })
  if (!stats.isSymbolicLink()) return fileOf(path)
  const target = readlinkSync(path)
  const to = target.startsWith('/') ? under(root, target) : join(dirname(path), target)
  return { target, ...(existsSync(to) ? fileOf(to) : {}) }
}

export interface NodeFacts {
  readonly path: string
  /** Nothing where it could not be asked. */
  readonly version: string | undefined
}

/** The best that is new enough; without one, the best that is there. */
export async function findNode(
  root: string,
  range: string,
  programs: SystemPrograms,
): Promise<NodeFacts | undefined> {
  let found: NodeFacts | undefined
  for (const path of NODE_PATHS) {
    if (!existsSync(under(root, path))) continue
    // That of another root may be of another architecture.
    const asked =
      root === '/' ? await askNode(path, programs) : { version: packagedNode(root, path) }
    if (asked === undefined) continue
    const node = { path, ...asked }
    if (node.version === undefined || isNewEnough(node.version, range)) return node
    found ??= node
  }
  return found
}

/** As if it were not there where it is for another machine, or not executable. */
async function askNode(path: string, programs: SystemPrograms) {
  const version = await programs.told(path, ['--version'])
  return version === undefined ? undefined : { version: version.replace(/^v/, '') }
}

/** Below another root the package manager of Debian knows the version; of another Node nobody does. */
function packagedNode(root: string, path: string): string | undefined {
  if (path !== '/usr/bin/node') return undefined
  return /^\d+\.\d+\.\d+/.exec(packagedVersion(root, 'nodejs') ?? '')?.[0]
}

/** Of a package that is installed, without an epoch. */
function packagedVersion(root: string, name: string): string | undefined {
  const status = under(root, '/var/lib/dpkg/status')
  if (!existsSync(status)) return undefined
  const entry = readFileSync(status, 'utf8')
    .split('\n\n')
    .find((one) => one.startsWith(`Package: ${name}\n`) && /^Status: .* installed$/m.test(one))
  return entry && /^Version: (?:\d+:)?(.*)$/m.exec(entry)?.[1]
}

function numberIn(text: string | undefined): number | undefined {
  const digits = /\d+/.exec(text ?? '')?.[0]
  return digits === undefined ? undefined : Number(digits)
}

export type AskedUnit = Awaited<ReturnType<typeof askUnit>>

export async function askUnit(unit: string, programs: SystemPrograms) {
  const asked = [
    ...['LoadState', 'ActiveState', 'StatusText', 'UnitFileState'],
    ...['NeedDaemonReload', 'NRestarts', 'ExecMainStatus'],
  ]
  const { stdout } = await programs.run('systemctl', ['show', '-p', asked.join(), unit])
  const lines = stdout.matchAll(/^([^=\n]*)=(.*)$/gm)
  const shown = new Map([...lines].map(([, name, value]) => [name!, value!]))
  return {
    isLoaded: shown.get('LoadState') === 'loaded',
    isEnabled: shown.get('UnitFileState') === 'enabled',
    isMasked: shown.get('UnitFileState')?.startsWith('masked') === true,
    activeState: shown.get('ActiveState') ?? 'inactive',
    statusText: shown.get('StatusText') ?? '',
    /** systemd read the unit before it was changed. */
    needsReload: shown.get('NeedDaemonReload') === 'yes',
    restarts: Number(shown.get('NRestarts') ?? 0),
    exitStatus: Number(shown.get('ExecMainStatus') ?? 0),
  }
}
