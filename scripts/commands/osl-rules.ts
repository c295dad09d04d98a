/** `obelisk osl rules`: the rule book of a gateway is shown, or another one is set in its place. */
import { type Fault, ObeliskError } from '../../shared/client/obelisk-error.ts'
import { count } from '../../shared/core/count.ts'
import { drawPlaced } from '../../shared/osl/osl-problems.ts'
import type { RuleBookView } from '../../shared/protocol/views.ts'
import { EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import { type Asked, type CommandGroup, demand, type Flags, say, show } from './command-place.ts'
import { sourceIn } from './osl-told.ts'
import { printable, printableLines, table, when } from './streams.ts'

const PATH = '/api/rules'

export function addRuleCommands(osl: CommandGroup): void {
  osl
    .asks('rules [file]', rules)
    .description('show the rule book and how its rules stand; with a file of JSON, set that')
    .option('--if-version <version>', 'only if the book is at this one by now')
}

async function rules(asked: Asked<Flags<'ifVersion'>>, file?: string): Promise<number> {
  const { ifVersion } = asked.flags
  if (file !== undefined) return await set(asked, file)
  if (ifVersion !== undefined) throw usage('--if-version: say what is to be set, too')
  const book = await asked.gateway.json<RuleBookView>({ path: PATH })
  return show(asked, book, () => {
    const rows = table(asked.streams, book.rules, [
      { title: 'RULE', text: ({ name }) => name },
      { title: 'STATE', text: ({ state }) => state ?? '' },
      { title: 'TILES', text: ({ tiles }) => String(tiles ?? ''), isNumber: true },
      { title: 'CELLS', text: (rule) => String(rule.count ?? ''), isNumber: true },
      { title: 'SINCE', text: ({ ts }) => (ts === undefined ? '' : when(ts)) },
      { title: 'WHEN', text: (rule) => printable(rule.when.replace(/\s+/g, ' ')) },
      { title: 'MESSAGE', text: ({ message }) => printable(message) },
    ])
    return `version ${book.version}, ${count(book.rules.length, 'rule')}\n${book.rules.length === 0 ? '' : rows}`
  })
}

async function set(asked: Asked<Flags<'ifVersion'>>, file: string): Promise<number> {
  const { ifVersion } = asked.flags
  if (ifVersion !== undefined && !/^\d{1,15}$/.test(ifVersion)) {
    throw usage(`--if-version: "${ifVersion}" is not the number of a version`)
  }
  const given = bookIn(await sourceIn(file, asked.streams))
  const guard = ifVersion === undefined ? {} : { if_version: Number(ifVersion) }
  try {
    const book = await demand<RuleBookView>(asked.gateway, 'PUT', PATH, { ...given, ...guard })
    const many = count(book.rules.length, 'rule')
    return say(asked, book, `version ${book.version} of the rule book is set: ${many}`)
  } catch (error) {
    if (!(error instanceof ObeliskError) || error.errors.length === 0) throw error
    if (asked.flags.json) {
      asked.streams.stdout.write(`${JSON.stringify({ problems: error.errors })}\n`)
    } else {
      const drawn = error.errors.map((fault) => draw(fault, given)).join('\n')
      asked.streams.stderr.write(`${printableLines(drawn)}\n`)
    }
    return EXIT_FAILED
  }
}

/** A list of rules is taken for a book, too. */
function bookIn(text: string): { readonly rules?: unknown } {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch (error) {
    throw usage(`the rule book is no JSON: ${(error as Error).message}`)
  }
  if (Array.isArray(given)) return { rules: given }
  if (typeof given === 'object' && given !== null) return given
  throw usage('a rule book is an object with "rules", or a list of them')
}

/** Below the line of the condition that it is in, if it is in one. */
function draw(fault: Fault, { rules: given }: { readonly rules?: unknown }): string {
  const { path, message, line, column, length, hint } = fault
  const index = /^rules\[(\d+)\]\.when$/.exec(path)?.[1]
  const rule = Array.isArray(given) && index !== undefined ? given[Number(index)] : undefined
  const source = (rule as { when?: unknown } | undefined)?.when
  if (typeof source !== 'string' || line === undefined || column === undefined) return message
  return drawPlaced(source, { line, column, length: length ?? 1, message, hint })
}
