/** Our programs as single files that need Node and nothing else, but for `lmdb.node` beside them. */
import { builtinModules, createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { build, type Message, type Plugin } from 'esbuild'
import type { Role } from './architectures.ts'
import { CHECKOUT } from './checkout.ts'
import type { TreeFile } from './inventory.ts'
import { leaveOut } from './left-out.ts'
import { PackagingError } from './packaging-error.ts'
import { bundlePage } from './page.ts'
import { type Bundles, packageOf } from './third-party.ts'

interface Entry {
  readonly output: string
  readonly source: string
  readonly mode: number
}

const SHARED_ENTRIES: readonly Entry[] = [
  { output: 'obelisk.mjs', source: 'scripts/obelisk.ts', mode: 0o755 },
  { output: 'verify.mjs', source: 'scripts/package/verify.ts', mode: 0o644 },
  // The store is tried out in a process of its own, which loads this.
  { output: 'lmdb.cjs', source: 'node_modules/lmdb/node-index.js', mode: 0o644 },
]

const OWN_ENTRIES: Readonly<Record<Role, readonly Entry[]>> = {
  agent: [{ output: 'agent.mjs', source: 'scripts/package/agent.ts', mode: 0o644 }],
  gateway: [
    { output: 'gateway.mjs', source: 'scripts/package/gateway.ts', mode: 0o644 },
    // Results are sealed in threads of their own.
    { output: 'sealer.mjs', source: 'broker/adapters/seal-worker.ts', mode: 0o644 },
  ],
}

const NO_PAGE: Bundles = { files: [], packages: [] }

/** Code of CommonJS packages asks for Node's modules by `require`, which a module lacks. */
const ESM_HEAD = `import { createRequire as makeRequire } from 'node:module'
const require = makeRequire(import.meta.url);`
const CJS_HEAD = "const moduleUrl = require('node:url').pathToFileURL(__filename).href;"

export async function bundle(role: Role): Promise<Bundles> {
  const built = await Promise.all([...OWN_ENTRIES[role], ...SHARED_ENTRIES].map(bundleEntry))
  const page = role === 'gateway' ? await bundlePage() : NO_PAGE
  const packages = built.flatMap(({ inputs }) => inputs.flatMap(packageOf))
  return {
    files: [
      ...built.map(({ file }) => file),
      // Where the gateway looks for it: beside its own code.
      ...page.files.map((file) => ({ ...file, path: `dashboard/${file.path}` })),
    ],
    packages: [...new Set([...packages, ...page.packages])].sort(),
  }
}

async function bundleEntry({
  output,
  source,
  mode,
}: Entry): Promise<{ file: TreeFile; inputs: string[] }> {
  const isModule = output.endsWith('.mjs')
  const result = await build({
    absWorkingDir: CHECKOUT,
    entryPoints: [source],
    outfile: output,
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: isModule ? 'esm' : 'cjs',
    banner: { js: isModule ? ESM_HEAD : CJS_HEAD },
    define: isModule ? {} : { 'import.meta.url': 'moduleUrl' },
    external: ['./agent.mjs', './gateway.mjs'],
    // Names stay: a stack trace from a board must be readable.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    // One byte a character in memory.
    charset: 'ascii',
    metafile: true,
    logLevel: 'silent',
    plugins: [installedPrograms, evaluatedInCommonJs, leaveOut, builtinsByRequire],
  })
  const [warning] = result.warnings.filter(isNew)
  if (warning !== undefined) {
    throw new PackagingError(`${output}: ${warning.location?.file}: ${warning.text}`)
  }
  const [inside] = Object.values(result.metafile.outputs)
  const inputs = Object.entries(inside!.inputs)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path)
  return { file: { path: output, bytes: result.outputFiles[0]!.contents, mode }, inputs }
}

/**
 * ordered-binary evaluates code that means its own variables by name. As a module it would share a scope
 * with others, where esbuild may rename them; as CommonJS it keeps a function and its names to itself.
 */
const evaluatedInCommonJs: Plugin = {
  name: 'evaluated-in-commonjs',
  setup(build) {
    build.onResolve({ filter: /^ordered-binary$/ }, () => ({
      path: createRequire(import.meta.url).resolve('ordered-binary'),
    }))
  },
}

/** In CommonJS an `eval` does what it says. */
function isNew({ id, location }: Message): boolean {
  return !(id === 'direct-eval' && location?.file.endsWith('/ordered-binary/dist/index.cjs'))
}

const installedPrograms: Plugin = {
  name: 'installed-programs',
  setup(build) {
    build.onResolve({ filter: /^\.\/programs\.ts$/ }, ({ importer }) =>
      basename(importer) === 'obelisk.ts'
        ? { path: join(CHECKOUT, 'scripts/package/programs.ts') }
        : undefined,
    )
    build.onResolve({ filter: /\/(lmdb-library|seal-program|verify-program)\.ts$/ }, () => {
      return { path: join(CHECKOUT, 'scripts/package/installed.ts') }
    })
  },
}

const NAMESPACE = 'builtin'
const BUILTIN = new RegExp(`^(node:)?(${builtinModules.join('|')})$`)

export const builtinsByRequire: Plugin = {
  name: 'builtins-by-require',
  setup(build) {
    build.onResolve({ filter: BUILTIN }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: NAMESPACE, sideEffects: false } : undefined,
    )
    build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => ({ contents: textOf(path) }))
  },
}

/** Only what somebody imports of it stays in the bundle, and is asked for. */
function textOf(path: string): string {
  const names = Object.keys(createRequire(import.meta.url)(path) as object)
  return [
    `const all = require('${path}')`,
    'export default all',
    ...names.map((name) => `const $${name} = /* @__PURE__ */ (() => all.${name})()`),
    `export { ${names.map((name) => `$${name} as ${name}`).join(', ')} }`,
  ].join('\n')
}
