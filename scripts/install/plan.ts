/**
 * The steps of an installation, from what is there and what is wished. A decision without memory: it
 * reads no file and runs nothing. What is as it should be gives no step, so a second run has none.
 */
import { isSecure } from '../../firmware-agent/adapters/enrolment.ts'
import { fault, usage } from '../fault.ts'
import type { Role } from '../package/architectures.ts'
import { checkSeen, type Facts } from './collect-facts.ts'
import { isNewEnough, litterOf, NODE_PATHS, placesOf, SYSTEMD_LEAST, under } from './places.ts'
import { planUpgradeUnits, startsLooking, takesUpgrades } from './plan-upgrades.ts'
import { configurationText, type Settings } from './settings.ts'
import type { Step } from './steps.ts'
import { badTree, isSound, type TreeFacts } from './tree.ts'
import { commandText, dropInText } from './unit-text.ts'
import { bring, isAt, setBack, textAt } from './wanted.ts'

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
  const steps = litterSteps(facts, wishes)
  const placing = treeSteps(facts, wishes)
  const settings = configurationSteps(facts, wishes)
  const units = unitSteps(facts, wishes, tree)
  steps.push(...placing, ...settings)
  const isPackaged = comesByPackage(facts, wishes)
  if (!isPackaged) steps.push(...enableSteps(facts, wishes))
  steps.push(...units)
  const isChanged = [...placing, ...settings, ...units].length > 0
  steps.push(...commandSteps(facts, wishes))
  const isReloaded = placing.length > 0 || units.length > 0
  if (facts.isLive && (isReloaded || facts.unit?.needsReload === true)) {
    steps.push({ do: 'systemctl', words: ['daemon-reload'] })
  }
  if (facts.isLive) steps.push(...startsLooking(units))
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
  const old = { path: oldCredential, about: 'agents have no password any more' }
  const gone = [{ path, about: 'the agent has its identity' }, old]
  if (facts.hasIdentity) return bring(facts, gone)
  const isToCome = isToStart && (isAt(facts, path) || wishes.settings.token !== undefined)
  const forget: Step = { do: 'forget-token', unit, path, identities }
  return [...(isToCome ? [forget] : []), ...bring(facts, wishes.role === 'agent' ? [old] : [])]
}

function checkEnrolment(facts: Facts, { role, settings }: InstallWishes): void {
  const { credential } = placesOf(role)
  const { url, token } = settings
  if (url === undefined || !isSecure({ url })) return
  if (facts.hasIdentity || token !== undefined) return
  if (isAt(facts, credential)) return
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
  const isFirst =
    !comesByPackage(facts, wishes) && textAt(facts, placesOf(wishes.role).unitFile) === undefined
  if (isFirst || wishes.isToEnable) return false
  return !isEnabled(facts, wishes)
}

/** Whether dpkg brings the files. */
function comesByPackage(facts: Facts, wishes: InstallWishes): boolean {
  return wishes.isPackaged || facts.isOwnedByDpkg
}

function isEnabled(facts: Facts, { role }: InstallWishes): boolean {
  return facts.isLive ? facts.unit?.isEnabled === true : isAt(facts, placesOf(role).wants)
}

function litterSteps(facts: Facts, { role }: InstallWishes): Step[] {
  const places = placesOf(role)
  const isTorso = facts.previous !== undefined && !isSound(facts.previous)
  // First, as what says that it is no way back is among the leftovers.
  const torso = isTorso
    ? [{ path: places.previous, about: 'it is damaged or was never ready' }]
    : []
  return bring(facts, [...torso, ...litterOf(places)])
}

function treeSteps(facts: Facts, { role }: InstallWishes): Step[] {
  const { tree: to, previous } = placesOf(role)
  const { tree, offered, offeredCopy, trustedKey } = facts
  if (offered !== undefined && !(isSound(tree) && tree.inventory === offered.inventory)) {
    const { path: from, version } = offered
    // One that never got to be ready is not kept in the place of one that was.
    const isKept = isSound(tree) && !isSound(facts.previous)
    const copy = offeredCopy!
    return [{ do: 'place-tree', from, copy, to, previous, isKept, version, trustedKey }]
  }
  const isMissing = facts.isOwnedByDpkg ? tree === undefined : !isSound(tree)
  return isMissing && isSound(facts.previous) ? [{ do: 'restore-tree', from: previous, to }] : []
}

/** After a version that did not become ready: the one before, as it was. */
export function planGoingBack(facts: Facts, wishes: InstallWishes): Step[] {
  const places = placesOf(wishes.role)
  const tree = wayBackOf(facts, wishes)
  const unit = wishes.isPackaged ? places.packagedUnitFile : places.unitFile
  const changes = [
    ...configurationSteps(facts, wishes),
    ...unitSteps(facts, wishes, checkedTree(facts, wishes)),
  ].filter((step) => !('path' in step) || step.path !== unit)
  const steps: Step[] = [{ do: 'restore-tree', from: places.previous, to: places.tree }]
  if (tree !== undefined) {
    const { unitText: text } = tree
    steps.push({ do: 'write-file', path: unit, text, mode: 0o644, about: 'the unit, as it was' })
  }
  steps.push(...setBack(facts, changes))
  steps.push({ do: 'systemctl', words: ['daemon-reload'] })
  steps.push({ do: 'systemctl', words: ['reset-failed', places.unit], mayFail: true })
  steps.push({ do: 'systemctl', words: ['--no-block', 'restart', places.unit] })
  return steps
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

function configurationSteps(facts: Facts, { role, settings }: InstallWishes): Step[] {
  const { configuration, credential } = placesOf(role)
  const keys = Object.keys(settings.values)
  const about = keys.length === 0 ? 'the configuration' : `sets ${keys.join(', ')}`
  const text = configurationText(role, settings, textAt(facts, configuration))
  const { token } = settings
  return bring(facts, [
    { path: configuration, text, about },
    // Whoever has an identity never looks at a token.
    ...(token === undefined || facts.hasIdentity
      ? []
      : [{ path: credential, text: token, mode: 0o600, about: 'the token for a first identity' }]),
  ])
}

function unitSteps(facts: Facts, wishes: InstallWishes, tree: TreeFacts): Step[] {
  const { role } = wishes
  const places = placesOf(role)
  const units = wishes.isPackaged
    ? [{ path: places.unitFile, about: 'of an installation by hand; the package has its own' }]
    : [{ path: places.unitFile, text: tree.unitText, about: 'the unit' }]
  const steps = facts.isOwnedByDpkg && !wishes.isPackaged ? [] : bring(facts, units)
  const configuration = configurationText(
    role,
    wishes.settings,
    textAt(facts, places.configuration),
  )
  const { systemdVersion } = facts
  const node = facts.node!.path
  const takes = !comesByPackage(facts, wishes) && takesUpgrades(tree, configuration)
  if (role === 'agent')
    steps.push(...planUpgradeUnits(facts, takes ? tree.upgradeTexts : undefined, node))
  const upgrades = takes ? { upgrades: places.upgradeRuntime } : {}
  const text = dropInText(tree.unitText, { systemdVersion, node, ...upgrades })
  const about = text === undefined ? 'the unit fits as it is' : 'what depends on this machine'
  return [...steps, ...bring(facts, [{ path: places.dropIn, text, about }])]
}

function commandSteps(facts: Facts, wishes: InstallWishes): Step[] {
  const { role } = wishes
  const { command: path, tree } = placesOf(role)
  // Packages share the name by update-alternatives. What leads somewhere is somebody's.
  if (comesByPackage(facts, wishes) || textAt(facts, path) !== undefined) return []
  const text = commandText(role, facts.node!.path)
  if (text === undefined) return [{ do: 'link', path, target: `${tree}/obelisk.mjs` }]
  return [{ do: 'write-file', path, text, mode: 0o755, about: 'the command' }]
}

function enableSteps(facts: Facts, wishes: InstallWishes): Step[] {
  const { unit, wants, unitFile, packagedUnitFile } = placesOf(wishes.role)
  if (isEnabled(facts, wishes) || isResting(facts, wishes)) return []
  const isPackaged = comesByPackage(facts, wishes)
  if (facts.isLive && isPackaged) return [{ do: 'systemctl', words: ['enable', unit] }]
  // systemctl cannot be asked: the unit is not there yet, or nothing runs.
  return [{ do: 'link', path: wants, target: isPackaged ? packagedUnitFile : unitFile }]
}
