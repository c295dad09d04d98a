/** `completion`, `man`, and what a shell asks while somebody types. */
import { join } from 'node:path'
import { Argument } from 'commander'
import { isId } from '../../shared/core/ids.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import { inWords } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'
import type { CommandPlace } from './command-place.ts'
import { commandTree } from './command-tree.ts'
import { completionScript, SHELLS } from './completion.ts'
import { manPage } from './man-page.ts'

/** Nobody waits longer for a completion. */
const ASK_MS = 200
const PATHS: ReadonlyMap<string, string> = new Map([
  ['nodes', '/api/nodes'],
  ['tasks', '/api/tasks?limit=100'],
])
const READABLE = 0o644

export function addShellCommands(place: CommandPlace, version: string): void {
  const { program, streams, gatewayFor, done } = place
  program
    .command('completion')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .description('print what completes commands in a shell: source <(obelisk completion bash)')
    .action((shell) => {
      streams.stdout.write(completionScript(shell, commandTree(program)))
      done(EXIT_DONE)
    })
  program
    .command('man')
    .requiredOption('--out <directory>', 'where obelisk.1 goes')
    .description('write the page of the manual')
    .action((flags: { readonly out: string }) => {
      const path = join(flags.out, 'obelisk.1')
      inWords(path, 'changed', () => {
        makeDirectory(flags.out, 0o755)
        writeWhole(path, manPage(commandTree(program), version), READABLE)
      })
      streams.stdout.write(`${path}\n`)
      done(EXIT_DONE)
    })
  program
    .command('__complete <kind>', { hidden: true })
    .option('--http <url>')
    .action(async (kind: string, flags) => {
      done(EXIT_DONE)
      const path = PATHS.get(kind)
      if (path === undefined) return
      // A shell shows nothing but words: without a gateway there are none.
      const question = { path, timeoutMs: ASK_MS }
      const ask = async () => await gatewayFor(flags).json<{ readonly id: string }[]>(question)
      const rows = await ask().catch(() => [])
      // A shell expands what it is offered: whoever answers must not have it run a command.
      const ids = rows.map(({ id }) => id).filter(isId)
      for (const id of ids) streams.stdout.write(`${id}\n`)
    })
}
