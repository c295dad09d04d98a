/** What a command says to whoever errs in how it is used. */
import type { Command } from 'commander'
import { closest } from '../../shared/core/near-match.ts'
import { commandTree, everyCommand } from './command-tree.ts'

const SUGGESTIONS_MAX = 3

/** Whoever errs is told how the command that they typed is used, and what there is that is like a word that is not. */
export function nameUsage(command: Command): void {
  command.showHelpAfterError(usageLine(command))
  command.configureOutput({
    outputError: (text, write) => write(withOwnSuggestion(command, text)),
  })
  for (const each of command.commands) nameUsage(each)
}

export function usageLine(command: Command): string {
  return `Usage: ${command.createHelp().commandUsage(command)} (--help says more)`
}

/** Commander's finds words alike that share three letters of six, and looks at no command of a command. */
function withOwnSuggestion(command: Command, text: string): string {
  const [, said, word] =
    /^(error: unknown command '(.*)')(?:\n\(Did you mean .*)?\n$/s.exec(text) ?? []
  if (word === undefined) return text
  const near = closest(
    word,
    command.commands.map((each) => each.name()),
  )
  const { path: own, commands } = commandTree(command)
  const below = commands.flatMap(everyCommand).map(({ path }) => path.slice(own.length).trim())
  const found = near === undefined ? below.filter((path) => path.endsWith(` ${word}`)) : [near]
  const isFew = found.length > 0 && found.length <= SUGGESTIONS_MAX
  return `${said}\n${isFew ? `(Did you mean ${found.join(' or ')}?)\n` : ''}`
}
