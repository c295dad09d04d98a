/**
 * Node's hooks for TypeScript. Each file is compiled once, and what came out is kept in `.tap/compiled/` for all
 * processes and runs until the file changes. Paths stay those of the sources: nothing has to know of it. Types
 * are not looked at; `npm run lint` does that. A module that is imported with `?instead=` and the URL of a directory
 * is taken from there where the directory has its file, and so is what it imports, of the files in `affected.json`.
 * tap and other large packages are made one file each in the same way: to look for their hundreds takes as long as most
 * light tests do.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { access, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { threadId } from 'node:worker_threads'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const FOLDER = join(ROOT, '.tap/compiled')
const COMPILER = JSON.parse(await readFile(join(ROOT, 'node_modules/esbuild/package.json'), 'utf8'))
/** npm writes this file whenever it installs. */
const { mtimeMs: installedMs } = await stat(join(ROOT, 'node_modules/.package-lock.json'))

/** What of each is imported. */
const BUNDLED = new Map([
  ['tap', "export * from 'tap'; export { default } from 'tap'"],
  ['mqtt', "export { connect, connectAsync } from 'mqtt'"],
  ['fastify', "export { default, errorCodes } from 'fastify'"],
  ['aedes', "export * from 'aedes'"],
])

/**
 * What tap finds the test by that an error belongs to which nobody awaits: it follows each promise of a test for that,
 * a tenth of what tests take. Without, such an error ends the process, as it does elsewhere.
 */
const ALIAS = { 'async-hook-domain': fileURLToPath(new URL('no-domain.js', import.meta.url)) }

const OPTIONS = {
  loader: 'ts',
  format: 'esm',
  target: 'es2023',
  sourcemap: 'inline',
  sourcesContent: false,
  tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true, useDefineForClassFields: true } },
}

/**
 * What tests need of packages, and these files, with one compiler.
 *
 * @param {readonly string[]} paths
 */
export async function compileAll(paths) {
  await Promise.all([
    ...[...BUNDLED].map(([name, contents]) => bundled(name, contents)),
    ...paths.map(compiled),
  ])
}

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  const contents = BUNDLED.get(specifier)
  if (contents !== undefined) {
    return { url: await bundled(specifier, contents), shortCircuit: true }
  }
  const resolved = await next(specifier, context)
  const directory = directoryInstead(context.parentURL)
  if (directory === undefined || !specifier.startsWith('.')) return resolved
  const url = new URL(resolved.url)
  const file = relative(ROOT, fileURLToPath(url))
  if ((await affectedIn(directory)).has(file)) url.searchParams.set('instead', directory)
  return { ...resolved, url: url.href }
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  if (!url.startsWith('file:')) return await next(url, context)
  const path = fileURLToPath(url)
  if (!path.endsWith('.ts')) return await next(url, context)
  const source = (await sourceInstead(url, path)) ?? (await compiled(path))
  return { format: 'module', source, shortCircuit: true }
}

/** @param {string | undefined} url */
function directoryInstead(url) {
  return url?.includes('?instead=') ? new URL(url).searchParams.get('instead') : undefined
}

/** @type {Map<string, Promise<Set<string>>>} */
const affected = new Map()

/** @param {string} directory */
function affectedIn(directory) {
  const read = () => readFile(new URL('affected.json', directory), 'utf8')
  if (!affected.has(directory)) {
    affected.set(
      directory,
      read().then((text) => new Set(JSON.parse(text))),
    )
  }
  return affected.get(directory)
}

/** @param {string} url @param {string} path */
async function sourceInstead(url, path) {
  const directory = directoryInstead(url)
  if (directory === undefined) return undefined
  const file = new URL(relative(ROOT, path), directory)
  const source = await readFile(file, 'utf8').catch((error) => {
    if (error.code !== 'ENOENT') throw error
  })
  return source === undefined ? undefined : await compile(source, path)
}

/** @param {string | Buffer} source @param {string} path */
async function compile(source, path) {
  // Only here: most processes have nothing to compile.
  const { transform } = await import('esbuild')
  const { code } = await transform(source, { ...OPTIONS, sourcefile: path })
  return code
}

/** @param {string} path */
async function compiled(path) {
  // A thread of its own has nothing else to do meanwhile, and a promise of each file costs more than the file.
  const source = readFileSync(path)
  const key = createHash('sha256').update(JSON.stringify([COMPILER.version, OPTIONS, path]))
  const mark = `\n//# ${key.update(source).digest('hex')}\n`
  // A file from elsewhere is kept by its whole path.
  const place = path.startsWith(ROOT) ? relative(ROOT, path) : join('elsewhere', path)
  const file = join(FOLDER, `${place}.js`)
  const kept = keptIn(file)
  if (kept.endsWith(mark)) return kept
  const code = await compile(source, path)
  await keep(file, code + mark)
  return code + mark
}

/** @param {string} file */
function keptIn(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

let kept = 0

/** @param {string} file @param {string | Uint8Array} text */
async function keep(file, text) {
  await mkdir(dirname(file), { recursive: true })
  // Another process, or another thread of this one, may write or read the same at this moment.
  const own = `${file}.${process.pid}-${threadId}-${kept++}`
  await writeFile(own, text)
  await rename(own, file)
}

/**
 * The URL of the file. That of tap lies in a folder of the name that it leaves out of the stacks that it shows.
 *
 * @param {string} name @param {string} contents
 */
async function bundled(name, contents) {
  const state = createHash('sha256').update(
    `${COMPILER.version} ${installedMs} ${contents} ${JSON.stringify(ALIAS)}`,
  )
  const folder = join(FOLDER, state.digest('hex').slice(0, 16), 'node_modules')
  const file = join(folder, name === 'tap' ? '@tapjs/tap.mjs' : `${name}.mjs`)
  const isKept = await access(file).then(
    () => true,
    () => false,
  )
  if (!isKept) await keep(file, await bundleOf(contents))
  return pathToFileURL(file).href
}

/** @param {string} contents */
async function bundleOf(contents) {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    // By its name, packages are read as Node reads them for a module.
    stdin: { contents, sourcefile: 'all.mjs', resolveDir: ROOT },
    bundle: true,
    alias: ALIAS,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: {
      js: "import { createRequire as bundled } from 'node:module'\nconst require = bundled(import.meta.url)",
    },
  })
  return outputFiles[0].contents
}
