/** `completion`, `man`, and what a shell asks while somebody types. */
import { join } from 'node:path'
import { Argument } from 'commander'
import { isId } from '../../shared/core/ids.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import { inWords } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'
import type { Asked, AskedHere, CommandGroup } from './command-place.ts'
import { commandTree, type TreeCommand } from './command-tree.ts'
import { completionScript, SHELLS, type Shell } from './completion.ts'
import { manPage } from './man-page.ts'

/** Nobody waits longer for a completion. */
const ASK_MS = 200
const PATHS: ReadonlyMap<string, string> = new Map([
  ['nodes', '/api/nodes'],
  ['tasks', '/api/tasks?limit=100'],
])
const READABLE = 0o644

export function addShellCommands(obelisk: CommandGroup, version: string): void {
  const tree = (): TreeCommand => commandTree(obelisk.command)
  obelisk
    .does('completion', ({ streams }, shell: Shell) => {
      streams.stdout.write(completionScript(shell, tree()))
      return EXIT_DONE
    })
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .description('print what completes commands in a shell: source <(obelisk completion bash)')
  obelisk
    .does('man', ({ streams, flags }: AskedHere<{ readonly out: string }>) => {
      const path = join(flags.out, 'obelisk.1')
      inWords(path, 'changed', () => {
        makeDirectory(flags.out, 0o755)
        writeWhole(path, manPage(tree(), version), READABLE)
      })
      streams.stdout.write(`${path}\n`)
      return EXIT_DONE
    })
    .requiredOption('--out <directory>', 'where obelisk.1 goes')
    .description('write the page of the manual')
  obelisk.does('__complete <kind>', printIds, { hidden: true }).option('--http <url>')
}

async function printIds(asked: Asked, kind: string): Promise<number> {
  const path = PATHS.get(kind)
  if (path === undefined) return EXIT_DONE
  // A shell shows nothing but words: without a gateway there are none.
  const question = { path, timeoutMs: ASK_MS }
  const ask = async () => await asked.gateway.json<{ readonly id: string }[]>(question)
  const rows = await ask().catch(() => [])
  // A shell expands what it is offered: whoever answers must not have it run a command.
  const ids = rows.map(({ id }) => id).filter(isId)
  for (const id of ids) asked.streams.stdout.write(`${id}\n`)
  return EXIT_DONE
}
