/** Programs and rules in words, and the rule book as it is typed: plain functions. */
import type { OperationShown } from '../../../shared/operations/operation.ts'
import type { CheckedView, ContextView, VersionView } from '../../../shared/protocol/codex-views.ts'
import type { RuleBookView, RuleStanding, RuleText } from '../../../shared/protocol/views.ts'
import { counted, formatNumber } from '../format.ts'
import type { Condition } from '../parts/condition.ts'

/** The context that is meant where none is named. */
export const MAIN = 'main'
/** Reach times steps of a program that reads neighbours. */
const REACH_MAX = 4

export function kindWords(kind: 'write' | 'read'): string {
  return kind === 'write' ? 'sets fields' : 'returns values'
}

export function takesWords(parameters: readonly string[]): string {
  return parameters.map((name) => `$${name}`).join(' ')
}

/** One line of what a text comes to. */
export function summaryOf({ kind, cost, microglyphs, reach, bytes, parameters }: CheckedView) {
  return [
    `It ${kindWords(kind)}`,
    `cost ${formatNumber(cost)} a cell`,
    `${counted(microglyphs.length, 'microglyph')} in ${formatNumber(bytes)} bytes`,
    reach === 0 ? 'reads no neighbours' : `reach ${reach}`,
    ...(parameters.length === 0 ? [] : [`takes ${takesWords(parameters)}`]),
  ].join(' · ')
}

/** The version that tasks get in a context: its own, or that of `main`. */
export function currentIn(
  versions: readonly VersionView[],
  context: string,
): VersionView | undefined {
  const namedIn = (name: string) => versions.find((one) => one.current_in.includes(name))
  return namedIn(context) ?? namedIn(MAIN)
}

export interface Runnable {
  readonly op: string
  readonly does: string
  readonly explained: Pick<CheckedView, 'parameters' | 'reach' | 'kind'>
  /** Where one may be said. */
  readonly contexts?: readonly ContextView[]
}

/** As the gateway describes its own operations, for the form of a task. */
export function operationOf({ op, does, explained, contexts = [] }: Runnable): OperationShown {
  const { parameters, reach } = explained
  const args: readonly (OperationShown['args'][number] | false)[] = [
    op === 'program' && { name: 'source', kind: 'source' },
    parameters.length > 0 && { name: 'with', kind: 'values', choices: parameters },
    contexts.length > 1 && {
      ...{ name: 'context', kind: 'choice', choices: contexts.map(({ name }) => name) },
    },
    reach > 0 &&
      reach < REACH_MAX && {
        ...{ name: 'steps', kind: 'whole', optional: true },
        ...{ min: 1, max: Math.floor(REACH_MAX / reach) },
      },
  ]
  return {
    ...{ op, does, kind: 'program', over: 'region' },
    args: args.filter((one) => one !== false),
  }
}

export function standingOf({ state, tiles }: RuleStanding): Condition {
  switch (state) {
    case 'raised':
      return { word: `raised in ${counted(tiles ?? 0, 'tile')}`, shape: 'cross', mood: 'bad' }
    case 'cleared':
      return { word: 'cleared', shape: 'disc', mood: 'good' }
    default:
      return { word: 'was never raised', shape: 'ring', mood: 'none' }
  }
}

/** As it is typed, a rule a line. */
export function bookText(rules: RuleBookView['rules']): string {
  const lines = rules.map(({ name, when, over, message }) => {
    const rule: RuleText = { name, when, ...(over && { over }), message }
    return `  ${JSON.stringify(rule)}`
  })
  return `[\n${lines.join(',\n')}\n]`
}
