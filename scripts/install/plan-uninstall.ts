import { own } from '../../shared/core/own.ts'
import { usage } from '../fault.ts'
import type { Role } from '../package/architectures.ts'
import { checkSeen, type Facts } from './collect-facts.ts'
import { litterOf, otherRole, placesOf } from './places.ts'
import { planUpgradeUnits } from './plan-upgrades.ts'
import type { Step } from './steps.ts'
import { bring } from './wanted.ts'

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
  if (role === 'agent') steps.push(...planUpgradeUnits(facts))
  // A unit without what enables it would be one that a person has disabled.
  const gone = [
    { path: places.dropIn, about: 'what depends on this machine' },
    { path: places.unitFile, about: 'the unit' },
    { path: places.wants, about: 'starts the unit' },
  ]
  steps.push(...bring(facts, gone))
  if (facts.isLive && steps.length > 0) {
    steps.push({ do: 'systemctl', words: ['daemon-reload'] })
    steps.push({ do: 'systemctl', words: ['reset-failed', places.unit], mayFail: true })
  }
  steps.push(...commandRemoval(facts, role))
  const more = [
    { path: places.tree, about: 'the program' },
    { path: places.previous, about: 'the version before' },
    ...litterOf(places),
    ...(isPurge ? places.kept.map((path) => ({ path, about: 'asked by --purge' })) : []),
  ]
  steps.push(...bring(facts, more))
  return steps
}

function commandRemoval(facts: Facts, role: Role): Step[] {
  const { command, tree } = placesOf(role)
  const { target, text } = own(facts.entries, command) ?? {}
  const program = `${tree}/obelisk.mjs`
  const isOurs = target === undefined ? text?.includes(program) : target === program
  if (isOurs !== true) return []
  const removal: Step = { do: 'remove', path: command, about: 'the command' }
  if (!facts.hasOther) return [removal]
  const other = placesOf(otherRole(role)).tree
  return [removal, { do: 'link', path: command, target: `${other}/obelisk.mjs` }]
}
