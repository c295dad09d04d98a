/**
 * The programs as packages have them, made of these sources: single files, which start in half the time that the
 * many files of a checkout take, and in a quarter with what V8 made of them before. Kept in `.tap/programs/` for all
 * processes and runs until a source changes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { hostArchitecture, isPackaged, ROLES } from '../../scripts/package/architectures.ts'
import type { TreeFile } from '../../scripts/package/inventory.ts'

const ROOT_URL = new URL('../../', import.meta.url)
const ROOT = fileURLToPath(ROOT_URL)
const FOLDER = join(ROOT, '.tap/programs')
const CODE_CACHE = 'test/support/code-cache.js'
const SOURCES = [
  ...['broker', 'firmware-agent', 'scripts', 'shared', 'package-lock.json'],
  ...[CODE_CACHE, 'test/support/packaged-programs.ts'],
]
/** What is started so often that it is worth it; the bundles themselves lie in the folder `bundles`. */
const CACHED = ['gateway.mjs', 'agent.mjs', 'obelisk.mjs']

/** What `obelisk` runs: that of a package, or, on a machine that there is none for, that of the checkout. */
export async function packagedProgram(): Promise<string> {
  const architecture = hostArchitecture()
  if (architecture === undefined || !isPackaged('gateway', architecture)) {
    return join(ROOT, 'dist/scripts/obelisk.js')
  }
  const folder = join(FOLDER, stateOfSources())
  if (!existsSync(folder)) {
    // Only here: most processes have nothing to make.
    const { bundle } = await import('../../scripts/package/bundles.ts')
    const { nativePart } = await import('../../scripts/package/native-part.ts')
    const { writeTree } = await import('../../scripts/package/tree.ts')
    const bundles = await Promise.all(ROLES.map(bundle))
    const { bytes } = nativePart(architecture)
    const own = `${folder}.${process.pid}`
    const files = bundles.flatMap((made) => made.files)
    const cached = files.filter(({ path }) => CACHED.includes(path))
    writeTree(join(own, 'bundles'), cached)
    writeTree(own, [...files, ...cached.flatMap(asFunction)])
    writeFileSync(join(own, 'lmdb.node'), bytes)
    await runOnce(own)
    putInPlace(own, folder)
  }
  return join(folder, 'obelisk.mjs')
}

/** The bundle as a function of what a module has, which returns what it exports; and the module that runs it. */
function asFunction({ path, bytes, mode }: TreeFile): TreeFile[] {
  const [, body = '', list] =
    /^(?:#!.*\n)?import .*\nconst require = .*\n([\s\S]*?)(?:export\{([^{}]*)\};)?\n$/.exec(
      Buffer.from(bytes).toString('latin1'),
    ) ?? []
  const names = (list?.split(',') ?? []).map((name) => name.split(' as '))
  const members = names.map(([inside, outside = inside]) => `${outside}: ${inside}`)
  const text = body
    .replaceAll('import.meta.url', 'moduleUrl')
    .replaceAll('await import(', 'await importModule(')
  const made = `(async (require, moduleUrl, importModule) => { 'use strict'
${text}
return { ${members.join(', ')} } })\n`
  const outside = names.map((name) => name.at(-1)).join(', ')
  const module = `import { runCached } from '${new URL(CODE_CACHE, ROOT_URL)}'
const { ${outside} } = await runCached(import.meta.url, (path) => import(path))
export { ${outside} }\n`
  return [
    { path: path.replace(/mjs$/, 'function.js'), bytes: Buffer.from(made, 'latin1'), mode: 0o644 },
    { path, bytes: Buffer.from(module), mode },
  ]
}

/** A gateway, an agent of it and a command, so that what these compile is kept. */
async function runOnce(folder: string): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), 'obelisk-once-'))
  const running: ChildProcess[] = []
  const run = (name: string, ...argv: readonly string[]): ChildProcess => {
    const own = { OBELISK_CONFIG: '/dev/null', XDG_CONFIG_HOME: data, KEEP_CODE: 'yes' }
    const child = spawn(process.execPath, [join(folder, `${name}.mjs`), ...argv], {
      env: { ...process.env, ...own },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    running.push(child)
    return child
  }
  const ends = (child: ChildProcess): Promise<unknown> =>
    child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve()
  try {
    const ports = ['--port', '0', '--http-port', '0']
    const line = await readyLine(run('gateway', '--data', join(data, 'gateway'), ...ports))
    const [, mqtt, http] = /mqtt=(\S+) http=(\S+)/.exec(line)!
    const own = ['--id', 'once', '--data', join(data, 'agent')]
    await readyLine(run('agent', '--url', `mqtt://${mqtt}`, ...own))
    await ends(run('obelisk', 'node', 'ls', '--http', `http://${http}`))
  } finally {
    for (const child of running) child.kill()
    await Promise.all(running.map(ends))
    rmSync(data, { recursive: true })
  }
}

async function readyLine(child: ChildProcess): Promise<string> {
  const said: string[] = []
  for await (const line of createInterface({ input: child.stderr! })) {
    if (line.startsWith('ready ')) return line
    said.push(line)
  }
  throw new Error(`not ready: ${child.spawnargs.join(' ')}\n${said.join('\n')}`)
}

/** Another one whenever a source of the programs changes. */
export function stateOfSources(): string {
  const hash = createHash('sha256')
  const add = (path: string): void => {
    const { mtimeMs, size } = statSync(join(ROOT, path))
    hash.update(`${path} ${mtimeMs} ${size}\n`)
  }
  for (const source of SOURCES) {
    add(source)
    if (!statSync(join(ROOT, source)).isDirectory()) continue
    for (const path of readdirSync(join(ROOT, source), { recursive: true }))
      add(join(source, String(path)))
  }
  return hash.digest('hex').slice(0, 16)
}

/** Another process may have made the same meanwhile. */
export function putInPlace(own: string, folder: string): void {
  try {
    renameSync(own, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
    rmSync(own, { recursive: true })
  }
}
