/**
 * The steps that set up, or take away, what installs the versions that a gateway sends to its agents: a unit that looks for
 * them, and one that installs. A decision without memory, as the rest of a plan.
 */
import { parse } from 'smol-toml'
import type { Facts } from './collect-facts.ts'
import { placesOf } from './places.ts'
import type { Step } from './steps.ts'
import type { TreeFacts } from './tree.ts'
import { withNode } from './unit-text.ts'
import { bring } from './wanted.ts'

/** Whether the board is to take them: where the package has what that needs, unless its owner says no. */
export function takesUpgrades(
  { upgradeTexts }: Pick<TreeFacts, 'upgradeTexts'>,
  configuration: string,
): boolean {
  return upgradeTexts !== undefined && parse(configuration).upgrade !== false
}

/** Sets them up with these texts, before systemd is told to read its units anew; without texts takes them away. */
export function planUpgradeUnits(facts: Facts, texts?: readonly string[], node = ''): Step[] {
  const { upgradeUnits } = placesOf('agent')
  if (texts !== undefined) {
    const about = 'what installs versions'
    const units = upgradeUnits.flatMap(({ file, wants }, at) => [
      { path: file, text: withNode(texts[at]!, node), about },
      { path: wants, target: file, about },
    ])
    return bring(facts, units)
  }
  const about = 'this board takes no versions from its gateway'
  const paths = upgradeUnits.flatMap(({ file, wants }) => [wants, file])
  const removals = bring(
    facts,
    paths.map((path) => ({ path, about })),
  )
  if (removals.length === 0 || !facts.isLive) return removals
  const words = ['stop', upgradeUnits[0]!.name]
  return [{ do: 'systemctl', words, mayFail: true }, ...removals]
}

/** After a plan's changes, and once systemd knows of them. */
export function startsLooking(changes: readonly Step[]): Step[] {
  const { name, file } = placesOf('agent').upgradeUnits[0]!
  const isWritten = changes.some((step) => step.do === 'write-file' && step.path === file)
  return isWritten ? [{ do: 'systemctl', words: ['restart', name] }] : []
}
