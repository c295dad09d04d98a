/**
 * Node's hooks for TypeScript. Each file is compiled once, and what came out is kept in `.tap/compiled/` for all
 * processes and runs until the file changes. Paths stay those of the sources: nothing has to know of it. Types
 * are not looked at; `npm run lint` does that.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const FOLDER = join(ROOT, '.tap/compiled')
const COMPILER = JSON.parse(await readFile(join(ROOT, 'node_modules/esbuild/package.json'), 'utf8'))

const OPTIONS = {
  loader: 'ts',
  format: 'esm',
  target: 'es2023',
  sourcemap: 'inline',
  sourcesContent: false,
  tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true, useDefineForClassFields: true } },
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, next) {
  if (!url.startsWith('file:')) return await next(url, context)
  const path = fileURLToPath(url)
  if (!path.endsWith('.ts')) return await next(url, context)
  return { format: 'module', source: await compiled(path), shortCircuit: true }
}

/** @param {string} path */
async function compiled(path) {
  const source = await readFile(path)
  const key = createHash('sha256').update(JSON.stringify([COMPILER.version, OPTIONS, path]))
  const mark = `\n//# ${key.update(source).digest('hex')}\n`
  // A file from elsewhere is kept by its whole path.
  const place = path.startsWith(ROOT) ? relative(ROOT, path) : join('elsewhere', path)
  const file = join(FOLDER, `${place}.js`)
  const kept = await readFile(file, 'utf8').catch(() => '')
  if (kept.endsWith(mark)) return kept
  // Only here: most processes have nothing to compile.
  const { transform } = await import('esbuild')
  const { code } = await transform(source, { ...OPTIONS, sourcefile: path })
  await mkdir(dirname(file), { recursive: true })
  // Another process may write or read the same at this moment.
  await writeFile(`${file}.${process.pid}`, code + mark)
  await rename(`${file}.${process.pid}`, file)
  return code + mark
}
