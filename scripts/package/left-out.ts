/**
 * What of the packages of others stays out of the bundles, and what stands there instead. Each is code
 * that our programs never reach: other transports of MQTT, number types of other encodings, other
 * systems, a second logger. On a board it would be read, compiled and kept in memory all the same.
 */
import type { Plugin, PluginBuild } from 'esbuild'
import { EXIT_UNSUITABLE } from '../../shared/runtime/errors.ts'

interface StandIn {
  /** What an import says, or the end of the file that it means. */
  readonly module?: RegExp
  readonly file?: RegExp
  readonly text: string
}

const unreachable = (name: string): string =>
  `exports.${name} = class { constructor() { throw new Error('${name} is not in this bundle') } }`

const STAND_INS: readonly StandIn[] = [
  // Node's own streams are what this package is a copy of: 8 MB on a board.
  { module: /^readable-stream$/, text: "module.exports = require('node:stream')" },
  // Timers in a web worker, for browsers.
  {
    module: /^worker-timers$/,
    text: 'exports.setInterval = setInterval; exports.clearInterval = clearInterval',
  },
  {
    module: /^debug$/,
    text: 'const off = () => {}; off.enabled = false; off.extend = () => off; module.exports = () => off',
  },
  // Topic aliases are of MQTT 5; we speak 3.1.1.
  { module: /^lru-cache$/, text: unreachable('LRUCache') },
  // Other transports: `obelisk sub` takes mqtt: and mqtts: only.
  { file: /\/mqtt\/build\/lib\/connect\/(ws|wx|ali|socks)\.js$/, text: '' },
  // Native parts that we do without: cbor-x and lmdb then use JavaScript.
  { module: /^cbor-extract$/, text: 'module.exports = undefined' },
  // lmdb's default encoding; we hand it bytes.
  { module: /^msgpackr$/, text: unreachable('Encoder') },
  // Other systems, and what it watches beside the temperature and the network.
  ...[
    ['adapters/macos-adapter', 'MacOSAdapter'],
    ['adapters/windows-adapter', 'WindowsAdapter'],
    ['monitors/disk-monitor', 'DiskMonitor'],
    ['monitors/memory-monitor', 'MemoryMonitor'],
    ['monitors/process-monitor', 'ProcessMonitor'],
    ['monitors/system-monitor', 'SystemMonitor'],
  ].map(([file, name]) => ({
    file: new RegExp(`/node-os-utils/dist/src/${file}\\.js$`),
    text: unreachable(name!),
  })),
  // Fastify loads these when its own logger is on, and for `inject`.
  { file: /\/fastify\/lib\/logger-pino\.js$/, text: '' },
  { module: /^light-my-request$/, text: '' },
  // Its schemas and plugins: we have neither.
  { module: /^(@fastify\/(ajv|fast-json-stringify)-compiler|semver)$/, text: '' },
  // Traces, where prom-client is asked for exemplars.
  { module: /^@opentelemetry\/api$/, text: '' },
  // lmdb's native part lies beside the bundle.
  {
    module: /^node-gyp-build-optional-packages$/,
    text: `import { createRequire } from 'node:module'
export default () => {
  try {
    return createRequire(import.meta.url)('./lmdb.node')
  } catch (error) {
    process.stderr.write(\`this package does not fit this machine (\${process.arch}): \${error.message}\\n\`)
    process.exit(${EXIT_UNSUITABLE})
  }
}`,
  },
]

const NAMESPACE = 'stand-in'

export const leaveOut: Plugin = {
  name: 'left-out',
  setup(build: PluginBuild) {
    STAND_INS.forEach(({ module, file, text }, index) => {
      if (module !== undefined) {
        build.onResolve({ filter: module }, ({ path }) => ({
          path: `${index}:${path}`,
          namespace: NAMESPACE,
        }))
      }
      if (file !== undefined) build.onLoad({ filter: file }, () => ({ contents: text }))
    })
    build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => ({
      contents: STAND_INS[Number(path.split(':')[0])]!.text,
      resolveDir: build.initialOptions.absWorkingDir!,
    }))
  },
}
