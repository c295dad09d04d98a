/** `gateway recover --nodes <n>`: the gateway with the one option that an operator must not leave out. */
import type { AppError } from '../../shared/runtime/errors.ts'
import { integer } from '../../shared/runtime/option-types.ts'
import { fault } from '../fault.ts'

const NODES = integer({ min: 1, max: 65_534 })

/** What the gateway is started with. Throws a usage error that speaks of what was typed. */
export function recoveryArguments(argv: readonly string[]): string[] {
  const others: string[] = []
  let nodes: number | undefined
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!
    const match = /^(--(?:recover-)?nodes)(?:=(.*))?$/s.exec(word)
    if (match === null) {
      others.push(word)
      continue
    }
    const [, flag, inline] = match
    const isNextValue = inline === undefined && argv[at + 1]?.startsWith('--') === false
    if (isNextValue) at += 1
    const text = inline ?? (isNextValue ? argv[at]! : '')
    if (text === '') throw refused(`${flag} needs a value`)
    const parsing = NODES.parse(text)
    if (!parsing.ok) throw refused(`${flag}: ${parsing.message}`)
    nodes = parsing.value
  }
  if (nodes === undefined) {
    throw refused('say how many nodes there are, with --nodes <n>: so many are waited for')
  }
  return [`--recover-nodes=${nodes}`, ...others]
}

function refused(problem: string): AppError {
  const usage = 'Usage: obelisk gateway recover --nodes <n> [options] (--help says more)'
  return fault('usage', `${problem}\n${usage}`)
}
