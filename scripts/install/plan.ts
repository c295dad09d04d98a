/**
 * The steps of an installation, from what is there and what is wished. A decision without memory: it
 * reads no file and runs nothing. What is as it should be gives no step, so a second run has none.
 */
import { isSecure } from '../../firmware-agent/adapters/enrolment.ts'
import { own } from '../../shared/core/own.ts'
import { fault, usage } from '../fault.ts'
import type { Role } from '../package/architectures.ts'
import { checkSeen, type Entry, type Facts, isSound, type TreeFacts } from './facts.ts'
import { NODE_PATHS, placesOf, SYSTEMD_LEAST, under } from './places.ts'
import {
  planUpgradeUnits,
  planWithoutUpgrades,
  startsLooking,
  takesUpgrades,
} from './plan-upgrades.ts'
import { configurationText, type Settings } from './settings.ts'
import type { Step } from './steps.ts'
import { badTree } from './tree.ts'
import { commandText, dropInText } from './unit-text.ts'

export interface InstallWishes {
  readonly role: Role
  readonly settings: Settings
  readonly isPackaged: boolean
  readonly isToStart: boolean
  /** Also a unit that a person has disabled. */
  readonly isToEnable: boolean
}

export function planInstall(facts: Facts, wishes: InstallWishes): Step[] {
  const places = placesOf(wishes.role)
  checkSeen(facts)
  const tree = checkedTree(facts, wishes)
  checkMachine(facts, tree)
  const node = facts.node!.path
  const steps = litterSteps(facts, wishes)
  const placing = treeSteps(facts, wishes)
  const settings = configurationSteps(facts, wishes)
  const unitSteps = planUnit(facts, wishes, tree, node)
  steps.push(...placing, ...settings)
  const isPackaged = comesByPackage(facts, wishes)
  if (!isPackaged) steps.push(...enableSteps(facts, wishes))
  steps.push(...unitSteps)
  const isChanged = [...placing, ...settings, ...unitSteps].some(
    (step) => step.do !== 'make-directory',
  )
  steps.push(...commandSteps(facts, wishes, node))
  const isReloaded = placing.length > 0 || unitSteps.length > 0
  if (facts.isLive && (isReloaded || facts.unit?.needsReload === true)) {
    steps.push({ do: 'systemctl', words: ['daemon-reload'] })
  }
  if (facts.isLive) steps.push(...startsLooking(unitSteps))
  if (isPackaged) steps.push(...enableSteps(facts, wishes))
  checkEnrolment(facts, wishes)
  const isUnconfirmed = wayBackOf(facts, wishes) !== undefined
  const isRunning = facts.unit?.activeState === 'active'
  const isToStart = facts.isLive && wishes.isToStart && (isRunning || !isResting(facts, wishes))
  if (isToStart && (isChanged || isUnconfirmed || !isRunning)) {
    // Without --no-block systemctl would wait for READY itself, and say less.
    steps.push({ do: 'systemctl', words: ['reset-failed', places.unit], mayFail: true })
    steps.push({ do: 'systemctl', words: ['--no-block', 'restart', places.unit] })
    const mustJoin = isUnconfirmed && isRunning && hasJoined(facts.unit!.statusText)
    steps.push({ do: 'watch', unit: places.unit, mustJoin })
  }
  if (isUnconfirmed) {
    steps.push({ do: 'remove', path: places.previous, about: 'the version before' })
  }
  steps.push(...secretSteps(facts, wishes, isToStart))
  return steps
}

/** Secrets that have done what they were for. After all that can go back to a version that needs them. */
function secretSteps(facts: Facts, wishes: InstallWishes, isToStart: boolean): Step[] {
  const { unit, credential: path, oldCredential, identities } = placesOf(wishes.role)
  const steps: Step[] = []
  const isThere = facts.credential !== undefined
  if (facts.hasIdentity) {
    if (isThere) steps.push({ do: 'remove', path, about: 'the agent has its identity' })
  } else if (isToStart && (isThere || wishes.settings.token !== undefined)) {
    steps.push({ do: 'forget-token', unit, path, identities })
  }
  if (facts.hasOldCredential) {
    steps.push({ do: 'remove', path: oldCredential, about: 'agents have no password any more' })
  }
  return steps
}

function checkEnrolment(facts: Facts, { settings }: InstallWishes): void {
  const { url, token } = settings
  if (url === undefined || !isSecure({ url })) return
  if (facts.hasIdentity || token !== undefined || facts.credential !== undefined) return
  const message = `${url} asks a node who it is, and this one has neither an identity nor a token: obelisk token create <id> on the gateway, then --token-file`
  throw fault('not-enrolled', message)
}

/** The version that can be gone back to while this plan is carried out: one with problems cannot. */
export function wayBackOf(facts: Facts, wishes: InstallWishes): TreeFacts | undefined {
  const [step] = treeSteps(facts, wishes)
  if (step?.do === 'restore-tree') return undefined
  if (step?.do === 'place-tree' && step.isKept) return facts.tree
  return isSound(facts.previous) ? facts.previous : undefined
}

/** Whether a person has disabled or masked the unit: it stays so. */
export function isResting(facts: Facts, wishes: InstallWishes): boolean {
  if (facts.isMasked) return true
  // The unit file of an installation by hand comes after what enables it.
  const isFirst = !comesByPackage(facts, wishes) && facts.unitFile === undefined
  if (isFirst || wishes.isToEnable) return false
  return !isEnabled(facts)
}

/** Whether dpkg brings the files. */
function comesByPackage(facts: Facts, wishes: InstallWishes): boolean {
  return wishes.isPackaged || facts.isOwnedByDpkg
}

function isEnabled({ isLive, unit, isWanted }: Facts): boolean {
  return isLive ? unit?.isEnabled === true : isWanted
}

function litterSteps(facts: Facts, { role }: InstallWishes): Step[] {
  const { previous } = placesOf(role)
  const isTorso = facts.previous !== undefined && !isSound(facts.previous)
  // First, as what says that it is no way back is among the leftovers.
  return [
    ...(isTorso ? [{ path: previous, about: 'it is damaged or was never ready' }] : []),
    ...facts.leftovers.map((path) => ({ path, about: 'a run that was cut off left it' })),
  ].map((one) => ({ do: 'remove', ...one }))
}

function treeSteps(facts: Facts, { role }: InstallWishes): Step[] {
  const { tree: to, previous } = placesOf(role)
  const { tree, offered, offeredCopy } = facts
  if (offered !== undefined && !(isSound(tree) && tree.inventory === offered.inventory)) {
    const { path: from, version } = offered
    // One that never got to be ready is not kept in the place of one that was.
    const isKept = isSound(tree) && !isSound(facts.previous)
    return [{ do: 'place-tree', from, copy: offeredCopy!, to, previous, isKept, version }]
  }
  const isMissing = facts.isOwnedByDpkg ? tree === undefined : !isSound(tree)
  return isMissing && isSound(facts.previous) ? [{ do: 'restore-tree', from: previous, to }] : []
}

/** After a version that did not become ready: the one before, as it was. */
export function planGoingBack(facts: Facts, wishes: InstallWishes): Step[] {
  const places = placesOf(wishes.role)
  const steps: Step[] = [{ do: 'restore-tree', from: places.previous, to: places.tree }]
  const path = wishes.isPackaged ? places.packagedUnitFile : places.unitFile
  const text = wayBackOf(facts, wishes)?.unitText
  if (text !== undefined) {
    steps.push({ do: 'write-file', path, text, mode: 0o644, about: 'the unit, as it was' })
  }
  steps.push(...restored(facts.configuration, places.configuration, 0o644, 'the configuration'))
  const { credential } = facts
  if (wishes.settings.token !== undefined) {
    steps.push(...restored(credential?.text, places.credential, 0o600, 'the token'))
  }
  steps.push(...restored(facts.dropIn, places.dropIn, 0o644, 'what depends on this machine'))
  places.upgradeUnits.forEach(({ file }, at) => {
    const { text: before } = facts.upgradeUnits[at]!
    if (before === undefined && facts.offered?.upgradeTexts === undefined) return
    steps.push(...restored(before, file, 0o644, 'what installs versions'))
  })
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

function checkedTree(facts: Facts, { role, isPackaged }: InstallWishes): TreeFacts {
  const { tree, unit, unitFile } = placesOf(role)
  const refuse = (message: string): never => {
    throw usage(message)
  }
  const path = under(facts.root, tree)
  if (facts.isOwnedByDpkg && !isPackaged && facts.offered !== undefined) {
    refuse(
      `${path} belongs to the package obelisk-${role}: upgrade it with apt, or remove the package first`,
    )
  }
  if (facts.isMasked && !isPackaged) {
    refuse(`${under(facts.root, unitFile)} is masked: sudo systemctl unmask ${unit}`)
  }
  const found = facts.offered ?? [facts.tree, facts.previous].find(isSound) ?? facts.tree
  if (found === undefined) {
    return refuse(`there is nothing in ${path} yet: name an unpacked package with --from <tree>`)
  }
  if (!isSound(found) && !(facts.isOwnedByDpkg && found.role === role)) {
    const remedy = facts.isOwnedByDpkg
      ? `sudo apt install --reinstall obelisk-${role} brings it anew`
      : 'name an unpacked package to put in its place with --from <tree>'
    throw badTree(found.path, found.problems, remedy)
  }
  if (found.role !== role) {
    throw badTree(found.path, [`it is of the ${found.role}, not of the ${role}`])
  }
  return found
}

function checkMachine(facts: Facts, tree: TreeFacts): void {
  const refuse = (message: string): never => {
    throw fault('unsuitable', message)
  }
  if (tree.architecture !== facts.architecture) {
    refuse(`${tree.path} is for ${tree.architecture}; this machine is ${facts.architecture}`)
  }
  if (facts.node === undefined) {
    const places = NODE_PATHS.map((path) => under(facts.root, path)).join(', ')
    refuse(`no Node ${tree.node} at ${places}: install it`)
  }
  const { path, version } = facts.node!
  if (version !== undefined && !isNewEnough(version, tree.node)) {
    refuse(`${under(facts.root, path)} is Node ${version}; Obelisk needs ${tree.node}`)
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
  const { token } = settings
  // Whoever has an identity never looks at a token.
  if (token === undefined || facts.hasIdentity) return steps
  const { credential } = facts
  if (credential?.text === token && credential.mode === 0o600) return steps
  if (!own(facts.directories, places.credentialDirectory)) {
    steps.push({ do: 'make-directory', path: places.credentialDirectory, mode: 0o700 })
  }
  const about = 'the token for a first identity'
  return [...steps, { do: 'write-file', path: places.credential, text: token, mode: 0o600, about }]
}

function planUnit(facts: Facts, wishes: InstallWishes, tree: TreeFacts, node: string): Step[] {
  const { role } = wishes
  const places = placesOf(role)
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
  const text = configurationText(role, wishes.settings, facts.configuration)
  const takes = role === 'agent' && !comesByPackage(facts, wishes) && takesUpgrades(tree, text)
  const machine = { systemdVersion, node }
  const upgrades = takes ? { upgrades: places.upgradeRuntime } : {}
  if (takes) steps.push(...planUpgradeUnits(facts, tree.upgradeTexts!, node))
  else if (role === 'agent') steps.push(...planWithoutUpgrades(facts))
  const dropIn = dropInText(tree.unitText, { ...machine, ...upgrades })
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

function commandSteps(facts: Facts, wishes: InstallWishes, node: string): Step[] {
  const { role } = wishes
  const { command, tree } = placesOf(role)
  // Packages share the name by update-alternatives.
  if (comesByPackage(facts, wishes)) return []
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

function enableSteps(facts: Facts, wishes: InstallWishes): Step[] {
  const { unit, wants, unitFile, packagedUnitFile } = placesOf(wishes.role)
  if (isEnabled(facts) || isResting(facts, wishes)) return []
  const isPackaged = comesByPackage(facts, wishes)
  if (facts.isLive && isPackaged) return [{ do: 'systemctl', words: ['enable', unit] }]
  // systemctl cannot be asked: the unit is not there yet, or nothing runs.
  return [{ do: 'link', path: wants, target: isPackaged ? packagedUnitFile : unitFile }]
}
