/**
 * Node's own modules by `require` instead of `import`. An import makes another module of each, which asks for all that is
 * in it, also for what Node makes once it is asked for (all of Web Crypto): 0.35 MB on a board (docs/performance.md).
 */
import { builtinModules, createRequire } from 'node:module'
import type { Plugin } from 'esbuild'

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
