/** What docs/client.md shows is run as it stands, and its types are looked at, as a program of somebody else would be. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { CHECKOUT } from '../../scripts/package/checkout.ts'
import { Markdown } from '../support/markdown.ts'
import { Fleet, within } from '../support/processes.ts'

const { blocks } = new Markdown(readFileSync(join(CHECKOUT, 'docs/client.md'), 'utf8'))
const shown = (language: string): string =>
  blocks
    .filter((block) => block.language === language)
    .map(({ text }) => text)
    .join('\n\n')

/** Where the name of the package leads to this checkout. */
const FOLDER = join(CHECKOUT, '.tap/examples')

const fleet = new Fleet(t)
const gateway = await fleet.gateway()
await fleet.agents(['edge-1', 'edge-2'], gateway.url)

function written(name: string, text: string): string {
  mkdirSync(FOLDER, { recursive: true })
  const path = join(FOLDER, name)
  writeFileSync(path, text)
  return path
}

t.test('the program of the page runs', async (t) => {
  const program = shown('js').replaceAll('http://127.0.0.1:8025', gateway.http)
  const path = written('client.mjs', program)
  const run = fleet.command(process.execPath, [path])
  const { code } = await within('its end', run.exited)
  t.equal(code, 0, run.stderr)
  const lines = run.stdout.trimEnd().split('\n')
  // What is watched comes when it comes.
  const said = lines.filter((line) => !/^(task-|node-)/.test(line))
  t.same(said, [
    '2 boards have it on disk',
    '7',
    '2 [ 10, 11, 10, 11 ]',
    '16 64 64',
    'unknown-field args.field',
  ])
})

t.test('its types are those of the package, for Node and for browsers', async (t) => {
  const paths = [written('client.mts', shown('js')), written('page.mts', shown('ts'))]
  const options = {
    ...{ module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, strict: true },
    ...{ noEmit: true, skipLibCheck: true, types: ['node'] },
  }
  const problems = ts.getPreEmitDiagnostics(ts.createProgram(paths, options))
  t.same(
    problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    [],
  )
  const wrong = written('wrong.mts', `${shown('js')}\nconst none: string = data.length\n`)
  t.equal(ts.getPreEmitDiagnostics(ts.createProgram([wrong], options)).length, 1)
})

const MODULES = 'import paho.mqtt, cbor2, numpy'
const pythons = ['python3', '/usr/bin/python3'].filter(
  (one) => spawnSync(one, ['-c', MODULES]).status === 0,
)
const skip = pythons.length === 0 && 'no Python with paho-mqtt, cbor2 and numpy'

t.test('the example for Python runs', { skip }, async (t) => {
  const path = join(CHECKOUT, 'docs/examples/obelisk.py')
  const run = fleet.command(pythons[0]!, [path, '127.0.0.1', `${gateway.port}`])
  const { code } = await within('its end', run.exited)
  t.equal(code, 0, run.stderr)
  const [cells, stat] = run.stdout.split('\n')
  t.equal(cells, '[[5, 6], [9, 10]]')
  t.match(stat, /'count': 12, 'sum': 66(.0)?,/)
})
