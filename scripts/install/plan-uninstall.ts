import { usage } from '../fault.ts'
import type { Role } from '../package/architectures.ts'
import { checkSeen, type Facts } from './facts.ts'
import { otherRole, placesOf } from './places.ts'
import { planWithoutUpgrades } from './plan-upgrades.ts'
import type { Step } from './steps.ts'

export interface UninstallWishes {
  readonly role: Role
  /** Data and configuration too. */
  readonly isPurge: boolean
}

export function planUninstall(facts: Facts, wishes: UninstallWishes): Step[] {
  const { role, isPurge } = wishes
  const places = placesOf(role)
  checkSeen(facts)
  if (facts.isOwnedByDpkg) {
    const message = `obelisk-${role} is a package: apt ${isPurge ? 'purge' : 'remove'} obelisk-${role}`
    throw usage(message)
  }
  const steps: Step[] = []
  if (facts.isLive && facts.unit !== undefined) {
    if (facts.unit.activeState !== 'inactive') {
      steps.push({ do: 'systemctl', words: ['stop', places.unit] })
    }
  }
  if (role === 'agent') steps.push(...planWithoutUpgrades(facts))
  const remove = (isThere: boolean, path: string, about: string): void => {
    if (isThere) steps.push({ do: 'remove', path, about })
  }
  remove(facts.dropIn !== undefined, places.dropIn, 'what depends on this machine')
  // A unit without what enables it would be one that a person has disabled.
  remove(facts.unitFile !== undefined, places.unitFile, 'the unit')
  remove(facts.isWanted, places.wants, 'starts the unit')
  if (facts.isLive && steps.length > 0) {
    steps.push({ do: 'systemctl', words: ['daemon-reload'] })
    steps.push({ do: 'systemctl', words: ['reset-failed', places.unit], mayFail: true })
  }
  steps.push(...commandRemoval(facts, role))
  remove(facts.tree !== undefined, places.tree, 'the program')
  remove(facts.previous !== undefined, places.previous, 'the version before')
  for (const path of facts.leftovers) remove(true, path, 'a run that was cut off left it')
  if (isPurge) for (const path of facts.kept) remove(true, path, 'asked by --purge')
  return steps
}

function commandRemoval(facts: Facts, role: Role): Step[] {
  const { command, tree } = placesOf(role)
  const entry = facts.command
  const isOurs =
    (entry.kind === 'link' && entry.target === `${tree}/obelisk.mjs`) ||
    (entry.kind === 'file' && entry.text.includes(`${tree}/obelisk.mjs`))
  if (!isOurs) return []
  const removal: Step = { do: 'remove', path: command, about: 'the command' }
  if (!facts.hasOther) return [removal]
  const other = placesOf(otherRole(role)).tree
  return [removal, { do: 'link', path: command, target: `${other}/obelisk.mjs` }]
}
