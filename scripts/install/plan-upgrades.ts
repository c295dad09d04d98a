/**
 * The steps that set up, or take away, what installs the versions that a gateway sends to its agents: a unit that looks for
 * them, and one that installs. A decision without memory, as the rest of a plan.
 */
import { parse } from 'smol-toml'
import type { Facts, TreeFacts } from './facts.ts'
import { placesOf, type UnitPlace } from './places.ts'
import type { Step } from './steps.ts'
import { withNode } from './unit-text.ts'

/** Whether the board is to take them: where the package has what that needs, unless its owner says no. */
export function takesUpgrades(
  { upgradeTexts }: Pick<TreeFacts, 'upgradeTexts'>,
  configuration: string,
): boolean {
  return upgradeTexts !== undefined && parse(configuration).upgrade !== false
}

/** Before systemd is told to read its units anew. */
export function planUpgradeUnits(facts: Facts, texts: readonly string[], node: string): Step[] {
  return placesOf('agent').upgradeUnits.flatMap(({ file, wants }, at) => {
    const present = facts.upgradeUnits[at]
    const text = withNode(texts[at]!, node)
    const steps: Step[] = []
    if (present?.text !== text) {
      steps.push({
        do: 'write-file',
        path: file,
        text,
        mode: 0o644,
        about: 'what installs versions',
      })
    }
    if (present?.isWanted !== true) steps.push({ do: 'link', path: wants, target: file })
    return steps
  })
}

/** After a plan's changes, and once systemd knows of them. */
export function startsLooking(changes: readonly Step[]): Step[] {
  const [{ name, file }] = placesOf('agent').upgradeUnits as [UnitPlace]
  const isWritten = changes.some((step) => step.do === 'write-file' && step.path === file)
  return isWritten ? [{ do: 'systemctl', words: ['restart', name] }] : []
}

/** Where they are and are not to be. */
export function planWithoutUpgrades(facts: Facts): Step[] {
  const { upgradeUnits } = placesOf('agent')
  const [looking] = upgradeUnits as [UnitPlace]
  const isThere = facts.upgradeUnits.some(({ text, isWanted }) => text !== undefined || isWanted)
  if (!isThere) return []
  const stop: Step = { do: 'systemctl', words: ['stop', looking.name], mayFail: true }
  const removals = upgradeUnits.flatMap(({ file, wants }, at): Step[] => {
    const { text, isWanted } = facts.upgradeUnits[at]!
    const about = 'this board takes no versions from its gateway'
    return [
      ...(isWanted ? [{ do: 'remove', path: wants, about } as const] : []),
      ...(text === undefined ? [] : [{ do: 'remove', path: file, about } as const]),
    ]
  })
  return [...(facts.isLive ? [stop] : []), ...removals]
}
