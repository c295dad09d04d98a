/**
 * The steps of an installation, from what is there and what is wished. A decision without memory: it
 * reads no file and runs nothing. What is as it should be gives no step, so a second run has none.
 */
import { own } from '../../shared/core/own.ts'
import { AppError, EXIT_UNSUITABLE, EXIT_USAGE } from '../../shared/runtime/errors.ts'
import type { Role } from '../package/architectures.ts'
import { checkSeen, type Entry, type Facts, type TreeFacts } from './facts.ts'
import { placesOf, SYSTEMD_LEAST } from './places.ts'
import { configurationText, type Settings } from './settings.ts'
import type { Step } from './steps.ts'
import { commandText, dropInText } from './unit-text.ts'

export interface InstallWishes {
  readonly role: Role
  readonly settings: Settings
  readonly isPackaged: boolean
  readonly isToStart: boolean
}

export function planInstall(facts: Facts, wishes: InstallWishes): Step[] {
  const places = placesOf(wishes.role)
  checkSeen(facts)
  const tree = checkedTree(facts, wishes)
  checkMachine(facts, tree)
  const node = facts.node!.path
  const steps = treeSteps(facts, wishes)
  const isReplacing = steps.length > 0
  steps.push(...configurationSteps(facts, wishes))
  const unitSteps = planUnit(facts, wishes, tree, node)
  steps.push(...unitSteps)
  const isChanged = steps.some((step) => step.do !== 'make-directory')
  steps.push(...commandSteps(facts, wishes, node))
  if (facts.isLive && (isReplacing || unitSteps.length > 0 || facts.unit?.needsReload === true)) {
    steps.push({ do: 'systemctl', words: ['daemon-reload'] })
  }
  steps.push(...enableSteps(facts, wishes))
  const isUnconfirmed = hasWayBack(facts, wishes)
  const isRunning = facts.unit?.activeState === 'active'
  if (facts.isLive && wishes.isToStart && (isChanged || isUnconfirmed || !isRunning)) {
    // Without --no-block systemctl would wait for READY itself, and say less.
    steps.push({ do: 'systemctl', words: ['reset-failed', places.unit], mayFail: true })
    steps.push({ do: 'systemctl', words: ['--no-block', 'restart', places.unit] })
    const mustJoin = isUnconfirmed && isRunning && hasJoined(facts.unit!.statusText)
    steps.push({ do: 'watch', unit: places.unit, mustJoin })
  }
  if (isUnconfirmed) {
    steps.push({ do: 'remove', path: places.previous, about: 'the version before' })
  }
  return steps
}

/** Whether there is a version before to go back to while this plan is carried out. */
export function hasWayBack(facts: Facts, wishes: InstallWishes): boolean {
  if (facts.tree === undefined) return false
  const isPlacing = treeSteps(facts, wishes).some((step) => step.do === 'place-tree')
  return isPlacing || facts.previous !== undefined
}

function treeSteps(facts: Facts, { role }: InstallWishes): Step[] {
  const { tree: to, previous } = placesOf(role)
  const { offered } = facts
  if (offered !== undefined && isReplaced(facts)) {
    return [{ do: 'place-tree', from: offered.path, to, previous, version: offered.version }]
  }
  // Power failed between the two renames of an upgrade.
  const isMissing = facts.tree === undefined && facts.previous !== undefined
  return isMissing ? [{ do: 'restore-tree', from: previous, to }] : []
}

/** After a version that did not become ready: the one before, as it was. */
export function planGoingBack(facts: Facts, wishes: InstallWishes): Step[] {
  const places = placesOf(wishes.role)
  const steps: Step[] = [{ do: 'restore-tree', from: places.previous, to: places.tree }]
  const path = wishes.isPackaged ? places.packagedUnitFile : places.unitFile
  const text = (facts.previous ?? facts.tree)?.unitText
  if (text !== undefined) {
    steps.push({ do: 'write-file', path, text, mode: 0o644, about: 'the unit, as it was' })
  }
  steps.push(...restored(facts.configuration, places.configuration, 0o644, 'the configuration'))
  const { credential } = facts
  if (wishes.settings.password !== undefined) {
    steps.push(...restored(credential?.text, places.credential, 0o600, 'the MQTT password'))
  }
  steps.push(...restored(facts.dropIn, places.dropIn, 0o644, 'what depends on this machine'))
  steps.push({ do: 'systemctl', words: ['daemon-reload'] })
  steps.push({ do: 'systemctl', words: ['reset-failed', places.unit], mayFail: true })
  steps.push({ do: 'systemctl', words: ['--no-block', 'restart', places.unit] })
  return steps
}

function restored(text: string | undefined, path: string, mode: number, about: string): Step[] {
  if (text === undefined) return [{ do: 'remove', path, about: 'it was not there before' }]
  return [{ do: 'write-file', path, text, mode, about: `${about}, as it was` }]
}

/** The agent's status, as it tells systemd: `joined <url> as <id>`. */
export function hasJoined(statusText: string): boolean {
  return statusText.startsWith('joined ')
}

/** Whether what is offered is another version than what is there, or that one is damaged. */
function isReplaced({ tree, offered }: Facts): boolean {
  return offered?.inventory !== tree?.inventory || (tree?.problems.length ?? 0) > 0
}

function checkedTree(facts: Facts, { role, isPackaged }: InstallWishes): TreeFacts {
  const places = placesOf(role)
  if (facts.isOwnedByDpkg && !isPackaged && facts.offered !== undefined) {
    const message = `${places.tree} belongs to the package obelisk-${role}: upgrade it with apt, or remove the package first`
    throw new AppError('usage', message, { exitCode: EXIT_USAGE })
  }
  const tree = facts.offered ?? facts.tree ?? facts.previous
  if (tree === undefined) {
    const message = `there is nothing in ${places.tree} yet: name an unpacked package with --from <tree>`
    throw new AppError('usage', message, { exitCode: EXIT_USAGE })
  }
  if (tree.role !== role) {
    const message = `${tree.path} is of the ${tree.role}, not of the ${role}`
    throw new AppError('usage', message, { exitCode: EXIT_USAGE })
  }
  return tree
}

function checkMachine(facts: Facts, tree: TreeFacts): void {
  const refuse = (message: string): never => {
    throw new AppError('unsuitable', message, { exitCode: EXIT_UNSUITABLE })
  }
  if (tree.architecture !== facts.architecture) {
    refuse(`${tree.path} is for ${tree.architecture}; this machine is ${facts.architecture}`)
  }
  if (facts.node === undefined) {
    refuse(`no Node ${tree.node} at /usr/lib/obelisk-node, /usr/bin or /usr/local/bin: install it`)
  }
  const { path, version } = facts.node!
  if (version !== undefined && !isNewEnough(version, tree.node)) {
    refuse(`${path} is Node ${version}; Obelisk needs ${tree.node}`)
  }
  // Of another root it may not be known.
  const { systemdVersion } = facts
  if (systemdVersion !== undefined && systemdVersion < SYSTEMD_LEAST) {
    refuse(`this is systemd ${systemdVersion}; Obelisk needs ${SYSTEMD_LEAST} or newer`)
  }
}

/** `>=20.19` is all that our package.json says. */
export function isNewEnough(version: string, range: string): boolean {
  const [major = 0, minor = 0] = numbersOf(version)
  const [leastMajor = 0, leastMinor = 0] = numbersOf(range)
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}

function numbersOf(text: string): number[] {
  return [...text.matchAll(/\d+/g)].map(([digits]) => Number(digits))
}

function configurationSteps(facts: Facts, { role, settings }: InstallWishes): Step[] {
  const places = placesOf(role)
  const steps: Step[] = []
  const text = configurationText(role, settings, facts.configuration)
  if (text !== facts.configuration) {
    if (!own(facts.directories, places.configurationDirectory)) {
      steps.push({ do: 'make-directory', path: places.configurationDirectory, mode: 0o755 })
    }
    const keys = Object.keys(settings.values)
    const about = keys.length === 0 ? 'the configuration' : `sets ${keys.join(', ')}`
    steps.push({ do: 'write-file', path: places.configuration, text, mode: 0o644, about })
  }
  const { password } = settings
  if (password === undefined) return steps
  const { credential } = facts
  if (credential?.text === password && credential.mode === 0o600) return steps
  if (!own(facts.directories, places.credentialDirectory)) {
    steps.push({ do: 'make-directory', path: places.credentialDirectory, mode: 0o700 })
  }
  const about = 'the MQTT password'
  return [
    ...steps,
    { do: 'write-file', path: places.credential, text: password, mode: 0o600, about },
  ]
}

function planUnit(facts: Facts, wishes: InstallWishes, tree: TreeFacts, node: string): Step[] {
  const places = placesOf(wishes.role)
  const steps: Step[] = []
  if (wishes.isPackaged) {
    if (facts.unitFile !== undefined) {
      const about = 'of an installation by hand; the package has its own'
      steps.push({ do: 'remove', path: places.unitFile, about })
    }
  } else if (!facts.isOwnedByDpkg && facts.unitFile !== tree.unitText) {
    const text = tree.unitText
    steps.push({ do: 'write-file', path: places.unitFile, text, mode: 0o644, about: 'the unit' })
  }
  const { systemdVersion } = facts
  const dropIn = dropInText(tree.unitText, { systemdVersion, node })
  if (dropIn === facts.dropIn) return steps
  if (dropIn === undefined) {
    steps.push({ do: 'remove', path: places.dropIn, about: 'the unit fits as it is' })
    return steps
  }
  if (!own(facts.directories, places.dropInDirectory)) {
    steps.push({ do: 'make-directory', path: places.dropInDirectory, mode: 0o755 })
  }
  const about = 'what depends on this machine'
  steps.push({ do: 'write-file', path: places.dropIn, text: dropIn, mode: 0o644, about })
  return steps
}

function commandSteps(facts: Facts, { role, isPackaged }: InstallWishes, node: string): Step[] {
  const { command, tree } = placesOf(role)
  // Packages share the name by update-alternatives.
  if (isPackaged || facts.isOwnedByDpkg) return []
  const { kind } = facts.command
  const text = commandText(role, node)
  if (text !== undefined) {
    const isOurs = facts.command.kind === 'file' && facts.command.text === text
    if (isOurs || (kind !== 'none' && !isDangling(facts.command))) return []
    return [{ do: 'write-file', path: command, text, mode: 0o755, about: 'the command' }]
  }
  if (kind !== 'none' && !isDangling(facts.command)) return []
  return [{ do: 'link', path: command, target: `${tree}/obelisk.mjs` }]
}

function isDangling(entry: Entry): boolean {
  return entry.kind === 'link' && entry.isDangling
}

function enableSteps(facts: Facts, { role, isPackaged }: InstallWishes): Step[] {
  const { unit, wants, unitFile, packagedUnitFile } = placesOf(role)
  if (facts.isLive) {
    return facts.unit?.isEnabled ? [] : [{ do: 'systemctl', words: ['enable', unit] }]
  }
  const target = isPackaged ? packagedUnitFile : unitFile
  return facts.isWanted ? [] : [{ do: 'link', path: wants, target }]
}
