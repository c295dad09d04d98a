/**
 * The rules of the house that a machine can hold. Each rule is a function from sources to problems;
 * each is shown to find a tiny source that breaks it, and then run over the tree.
 */
import { existsSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { syntaxOf } from './support/syntax.ts'

const ROOT = new URL('../', import.meta.url)

interface Import {
  /** The path from the root for a file of ours, else the name of the module. */
  target: string
  /** Gone once types are: no code is loaded for it. */
  isTypeOnly: boolean
  names: string[]
}

class Source {
  readonly path: string
  readonly text: string
  readonly tree: ts.SourceFile
  readonly imports: Import[] = []

  constructor(path: string, text: string) {
    this.path = path
    this.text = text
    this.tree = syntaxOf(path, text)
    this.each((node) => this.#addImport(node))
  }

  each(visit: (node: ts.Node) => void): void {
    const descend = (node: ts.Node): void => {
      visit(node)
      ts.forEachChild(node, descend)
    }
    descend(this.tree)
  }

  line(node: ts.Node): string {
    return `${this.path}:${this.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`
  }

  #addImport(node: ts.Node): void {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      if (!node.moduleSpecifier || !ts.isStringLiteral(node.moduleSpecifier)) return
      const clause = ts.isImportDeclaration(node) ? node.importClause : undefined
      const bindings = clause?.namedBindings
      this.imports.push({
        target: this.#resolve(node.moduleSpecifier.text),
        isTypeOnly: ts.isExportDeclaration(node)
          ? node.isTypeOnly
          : clause?.phaseModifier === ts.SyntaxKind.TypeKeyword,
        names:
          bindings && ts.isNamedImports(bindings)
            ? bindings.elements.map((one) => (one.propertyName ?? one.name).text)
            : ['*'],
      })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [target] = node.arguments
      if (target && ts.isStringLiteral(target)) {
        this.imports.push({ target: this.#resolve(target.text), isTypeOnly: false, names: ['*'] })
      }
    }
  }

  #resolve(name: string): string {
    return name.startsWith('.') ? posix.join(posix.dirname(this.path), name) : name
  }
}

type Rule = (sources: readonly Source[]) => string[]

/** A rule that looks at one file at a time. */
const eachSource =
  (rule: (source: Source) => string[]): Rule =>
  (sources) =>
    sources.flatMap(rule)

const isOurs = (path: string): boolean =>
  /^(shared|broker|firmware-agent|scripts|test)\//.test(path)
const isTest = (path: string): boolean => path.startsWith('test/')
const PURE = /^(broker\/core|firmware-agent\/core|shared\/(core|grid|operations|protocol))\//
const LOGIC = /^(broker|firmware-agent|shared)\/(core|protocol)\//

// -------------------------------------------------------------------- imports

const SHARED_PURE = /^shared\/(core|grid|operations|osl|protocol)\//

/** Where a file may take code from, the first match of its path. Types may come from more places. */
const LAYERS: readonly { from: RegExp; code: RegExp; types?: RegExp }[] = [
  { from: /^test\//, code: /./ },
  { from: /^scripts\//, code: /^(shared|broker|firmware-agent|scripts)\// },
  { from: /^shared\/core\//, code: /^shared\/core\// },
  { from: SHARED_PURE, code: SHARED_PURE },
  { from: /^shared\//, code: /^shared\// },
  {
    // It runs in a browser, where there is nothing of Node's.
    from: /^broker\/dashboard\//,
    code: new RegExp(`^broker/dashboard/|^shared/client/|${SHARED_PURE.source}`),
    types: /^(broker\/dashboard|shared)\//,
  },
  // What there is, and not what follows from it.
  {
    from: /^broker\/core\/state\//,
    code: new RegExp(`^broker/core/(state/|[^/]+$)|${SHARED_PURE.source}`),
  },
  ...['broker', 'firmware-agent'].flatMap((program) => [
    // What joins the others: what is run, and what it opens where a gateway is secured or has a bridge.
    {
      from: new RegExp(
        `^${program}/(main|keys|restore|restore-ledger|secured|packages|http-doors|enroll|bridge)\\.ts$`,
      ),
      code: new RegExp(`^(${program}|shared)/`),
    },
    {
      // Of what may be said several times, each table has a file.
      from: new RegExp(`^${program}/(config|option-types|[a-z]+-table)\\.ts$`),
      code: new RegExp(`^shared/|^${program}/(option-types|[a-z]+-table)\\.ts$`),
      types: new RegExp(`^shared/|^${program}/(core/|option-types\\.ts$)`),
    },
    {
      from: new RegExp(`^${program}/core/`),
      code: new RegExp(`^${program}/core/|${SHARED_PURE.source}`),
    },
    {
      from: new RegExp(`^${program}/adapters/`),
      code: new RegExp(`^(${program}/adapters|shared)/`),
      types: new RegExp(`^(${program}/(adapters|core)|shared)/`),
    },
    {
      // The driver, and what else stands beside it.
      from: new RegExp(`^${program}/[^/]+\\.ts$`),
      code: new RegExp(`^(${program}/core|shared)/|^${program}/[^/]+\\.ts$`),
      types: new RegExp(`^(${program}|shared)/`),
    },
  ]),
]

const importsPointDown = eachSource((source) => {
  const layer = LAYERS.find(({ from }) => from.test(source.path))
  if (layer === undefined) return [`${source.path} stands in no layer`]
  return source.imports
    .filter(({ target }) => isOurs(target))
    .filter(({ target, isTypeOnly }) => {
      return !((isTypeOnly ? layer.types : undefined) ?? layer.code).test(target)
    })
    .map(({ target }) => `${source.path} imports ${target}`)
})

/** A rule that knows the type of another calls it: so nothing in the gateway's core calls upward. */
const RULES_OF_CORE = /^broker\/core\/(rules|views)\//

const importsHaveNoCycle: Rule = (sources) => {
  const edges = new Map(
    sources.map((source) => {
      const { path, imports } = source
      return [path, RULES_OF_CORE.test(path) ? imports.map(({ target }) => target) : codeOf(source)]
    }),
  )
  const done = new Set<string>()
  const problems: string[] = []
  const visit = (path: string, trail: string[]): void => {
    if (trail.includes(path)) {
      problems.push(`a cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`)
    }
    if (done.has(path) || trail.includes(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return problems
}

function codeOf(source: Source): string[] {
  return source.imports.filter(({ isTypeOnly }) => !isTypeOnly).map(({ target }) => target)
}

/** All files whose code is loaded with those of `from`. */
function loadedBy(sources: readonly Source[], from: readonly string[]): Set<string> {
  const edges = new Map(sources.map((source) => [source.path, codeOf(source)]))
  const loaded = new Set<string>()
  const queue = [...from]
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (loaded.has(path) || !edges.has(path)) continue
    loaded.add(path)
    queue.push(...edges.get(path)!)
  }
  return loaded
}

/** The gateway decides; nodes hold cells and compute. */
const gatewayHoldsNoCell: Rule = (sources) => {
  const broker = sources.filter(({ path }) => path.startsWith('broker/'))
  const main = broker.filter(({ path }) => path === 'broker/main.ts')
  const loaded = loadedBy(
    sources,
    (main.length > 0 ? main : broker).map(({ path }) => path),
  )
  const problems = [...loaded]
    .filter((path) => path === 'shared/grid/tile-page.ts' || path.startsWith('firmware-agent/'))
    .map((path) => `the gateway loads ${path}`)
  for (const source of broker) {
    const knowsOperations = source.imports.some(({ target }) =>
      target.startsWith('shared/operations/'),
    )
    source.each((node) => {
      if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return
      const { text } = node.expression.name
      if (text === 'act' || text === 'visit' || (text === 'run' && knowsOperations)) {
        problems.push(`${source.line(node)} calls .${text}() of an operation`)
      }
    })
  }
  return problems
}

const NAMES_OF_NODE: readonly string[] = ['process', 'Buffer', 'require', 'global', 'setImmediate']

/** Pages load it, too: nothing of Node, and nothing that would make them heavy. */
const clientRunsInBrowsers: Rule = (sources) => {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const own = [...byPath.keys()].filter((path) => path.startsWith('shared/client/'))
  return [...loadedBy(sources, own)].flatMap((path) => {
    const source = byPath.get(path)!
    const declared = declaredIn(source)
    const problems = source.imports
      .filter(({ target, isTypeOnly }) => !isTypeOnly && !isOurs(target))
      .map(({ target }) => `${path} imports ${target}`)
    source.each((node) => {
      const isGlobal = ts.isIdentifier(node) && isValue(node) && !declared.has(node.text)
      if (!isGlobal || !NAMES_OF_NODE.includes(node.text)) return
      problems.push(`${source.line(node)} has ${node.text}`)
    })
    return problems
  })
}

// --------------------------------------------------------------------- purity

const FORBIDDEN_NAMES: readonly string[] = [
  ...['process', 'console', 'performance', 'fetch', 'require', 'globalThis', 'WebSocket', 'Intl'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'crypto', 'Promise', 'Worker'],
]
const MODULES_OF_PURE: Readonly<Record<string, readonly string[]>> = {
  'node:crypto': ['createHash', 'createPublicKey', 'KeyObject', 'verify'],
  'node:buffer': ['Buffer', 'isUtf8'],
  valibot: ['*'],
  'cbor-x': ['Decoder', 'Encoder'],
}

const coreIsPure = eachSource((source) => {
  if (!PURE.test(source.path)) return []
  const declared = declaredIn(source)
  const problems: string[] = []
  const report = (node: ts.Node, what: string): void => {
    problems.push(`${source.line(node)} has ${what}`)
  }
  for (const { target, names, isTypeOnly } of source.imports) {
    if (isOurs(target) || isTypeOnly) continue
    const allowed = Object.hasOwn(MODULES_OF_PURE, target) ? MODULES_OF_PURE[target]! : []
    const others = names.filter((name) => !allowed.includes(name))
    if (others.length > 0) problems.push(`${source.path} imports ${others.join()} of ${target}`)
  }
  source.each((node) => {
    const isAwait = ts.isAwaitExpression(node) || node.kind === ts.SyntaxKind.AwaitKeyword
    if (isAwait) report(node, 'await')
    if (node.kind === ts.SyntaxKind.AsyncKeyword) report(node, 'async')
    if (ts.isNewExpression(node) && node.expression.getText() === 'Date') report(node, 'new Date')
    if (ts.isPropertyAccessExpression(node)) {
      const path = node.getText()
      if (path === 'Math.random' || path === 'Date.now') report(node, path)
      if (/\.toLocale\w+$|\.localeCompare$/.test(path)) report(node, 'a locale')
    }
    const isGlobal = ts.isIdentifier(node) && isValue(node) && !declared.has(node.text)
    if (isGlobal && FORBIDDEN_NAMES.includes(node.text)) report(node, node.text)
  })
  return problems
})

/** Whether an identifier stands for a value: no member, key, declared name or type. */
function isValue(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isShorthandPropertyAssignment(parent)) return true
  if ((parent as { name?: ts.Node }).name === node) return false
  return !(ts.isTypeNode(parent) || ts.isQualifiedName(parent) || ts.isImportSpecifier(parent))
}

/** Names that a file declares itself, which then are not the global ones. */
function declaredIn(source: Source): Set<string> {
  const names = new Set<string>()
  source.each((node) => {
    const isBinding =
      ts.isVariableDeclaration(node) || ts.isParameter(node) || ts.isBindingElement(node)
    if (isBinding && ts.isIdentifier(node.name)) names.add(node.name.text)
  })
  return names
}

/** Replicas of another engine must compute the same bits (recovery.md, Determinism). */
const operationsAreDeterministic = eachSource((source) => {
  if (!/^shared\/(operations|osl)\//.test(source.path)) return []
  const problems: string[] = []
  const exact = /^Math\.(abs|ceil|floor|trunc|round|min|max|sign|sqrt|fround|imul|clz32)$/
  source.each((node) => {
    if (!ts.isPropertyAccessExpression(node) || node.expression.getText() !== 'Math') return
    if (!exact.test(node.getText())) problems.push(`${source.line(node)} has ${node.getText()}`)
  })
  return problems
})

/** A seed makes names that two of many processes share; only what is replayed is drawn from one. */
const programsDrawFromTheSystem = eachSource((source) => {
  if (!/^(shared|broker|firmware-agent)\//.test(source.path)) return []
  const problems: string[] = []
  source.each((node) => {
    if (!ts.isNewExpression(node) || node.expression.getText() !== 'Random') return
    problems.push(`${source.line(node)} draws from a seed`)
  })
  return problems
})

/** A name from outside may be `__proto__` or `constructor`, which every plain object has an own mind about. */
const tablesTakeAnyName = eachSource((source) => {
  if (isTest(source.path) || source.path === 'shared/core/own.ts') return []
  const tables = new Set<string>()
  source.each((node) => {
    const isDeclared =
      ts.isVariableDeclaration(node) ||
      ts.isPropertyDeclaration(node) ||
      ts.isPropertySignature(node) ||
      ts.isParameter(node)
    if (!isDeclared || node.type === undefined) return
    if (/^((Readonly|Partial)<)*Record<string,/.test(node.type.getText())) {
      tables.add(node.name.getText())
    }
  })
  const problems: string[] = []
  source.each((node) => {
    if (!ts.isElementAccessExpression(node) || ts.isDeleteExpression(node.parent)) return
    if (ts.isStringLiteral(node.argumentExpression)) return
    const { expression } = node
    const table = ts.isPropertyAccessExpression(expression) ? expression.name : expression
    if (!tables.has(table.getText())) return
    problems.push(`${source.line(node)} takes ${node.getText()}: own(…), or a Map`)
  })
  return problems
})

const processEndsInOnePlace = eachSource((source) => {
  if (isTest(source.path)) return []
  const mayEnd =
    /^((broker|firmware-agent)\/main|scripts\/(obelisk|run-main|bench\/bench-options))\.ts$/.test(
      source.path,
    )
  const mayRead =
    /(^|\/)config\.ts$|^scripts\/((obelisk|run-main|client\/connect)\.ts$|commands\/)/.test(
      source.path,
    )
  const problems: string[] = []
  source.each((node) => {
    if (!ts.isPropertyAccessExpression(node)) return
    const path = node.getText()
    if (path === 'process.exit' && !mayEnd) problems.push(`${source.line(node)} has ${path}`)
    if (path === 'process.env' && !mayRead) problems.push(`${source.line(node)} has ${path}`)
  })
  return problems
})

// ---------------------------------------------------------------------- words

const BANNED = /^(utils?|helpers?|commons?|managers?|services?|data|infos?)$/i
const words = (name: string): string[] => name.split(/[-_.]|(?<=[a-z0-9])(?=[A-Z])/)

const namesSayWhat = eachSource((source) => {
  const problems: string[] = []
  const base = posix.basename(source.path).replace(/(\.test)?\.tsx?$/, '')
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(base)) problems.push(`${source.path} is not kebab-case`)
  if (words(base).some((word) => BANNED.test(word))) problems.push(`${source.path} has no noun`)
  for (const statement of source.tree.statements) {
    const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
    if (!modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue
    for (const name of declaredNames(statement)) {
      // The last word is the noun: a `dataDirectory` says what it is, a `directoryManager` does not.
      if (BANNED.test(words(name).at(-1)!)) problems.push(`${source.path} exports ${name}`)
    }
  }
  return problems
})

function declaredNames(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText())
  }
  const { name } = statement as { name?: ts.Node }
  return name === undefined ? [] : [name.getText()]
}

const MARKUP_MADE_OF_TEXT =
  /^(dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|write(ln)?|eval|Function|srcdoc)$/

/** What comes from boards and users is text and stays text; and nothing is asked of anybody but the gateway. */
const pageIsSafe = eachSource((source) => {
  if (!source.path.startsWith('broker/dashboard/')) return []
  const problems: string[] = []
  source.each((node) => {
    if (ts.isIdentifier(node) && MARKUP_MADE_OF_TEXT.test(node.text)) {
      problems.push(`${source.line(node)} has ${node.text}`)
    }
    const isText = ts.isStringLiteralLike(node) || ts.isJsxText(node)
    if (isText && /\bhttps?:/.test(node.text)) problems.push(`${source.line(node)} has an address`)
    if (ts.isJsxAttribute(node) && node.name.getText() === 'style') {
      if (node.initializer && ts.isStringLiteral(node.initializer)) {
        problems.push(`${source.line(node)} has a style in its markup`)
      }
    }
  })
  return problems
})

const nothingIsLeftOpen = eachSource((source) =>
  source.text.split('\n').flatMap((line, index) => {
    const hasOpen =
      /\b(FIX)ME\b/.test(line) ||
      (/\b(TO)DO\b/.test(line) && !/#\d+|https:/.test(line)) ||
      /^([<=>|])\1{6}( |$)/.test(line)
    return hasOpen ? [`${source.path}:${index + 1} ${line.trim()}`] : []
  }),
)

const coreFilesSayWhatTheyAre = eachSource((source) => {
  if (!LOGIC.test(source.path)) return []
  const header = ts.getLeadingCommentRanges(source.text, 0)?.[0]
  const lines = header ? source.text.slice(header.pos, header.end).split('\n').length : 0
  return lines >= 3 ? [] : [`${source.path} opens with a comment of ${lines} lines`]
})

const LINES_MAX = 450

const filesAreShort = eachSource((source) => {
  const lines = source.text.split('\n').length - 1
  if (source.path.endsWith('.test.ts') || lines <= LINES_MAX) return []
  return [`${source.path} has ${lines} lines: ask which noun is hiding`]
})

// ---------------------------------------------------------------------- tests

const named = (folder: string, names: string): string[] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => `${folder}/${name}.ts`)

/** Parts that are tested through the file that puts them together, where a test imports that one. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  'broker/core/coordinator.ts': [
    ...named(
      'broker/core/state',
      `
      coordinator-context deadlines mass-silence membership node-stream steadiness
      control-log move-table rule-book write-log alarms raised-tiles ghost-tally
    `,
    ),
    ...named(
      'broker/core/rules',
      `
      admission fleet reads read-plan silence-watch stream-sender submissions task-endings
      lost-copies moves rebalancer recovery scrubber writes read-asker ledger-room
      retention-sweep rule-watch reading-desk readings birth-room upgrades package-fetches
      missing-tiles settling task-runner waiting-parts write-waits read-messages read-answers
      codex-desk program-calls codex-notice ghost-watch
    `,
    ),
    'broker/core/views/coordinator-view.ts',
  ],
  'broker/core/state/placement.ts': ['broker/core/state/bounded-loads.ts'],
  'firmware-agent/core/agent.ts': named(
    'firmware-agent/core',
    `
    outbox presence pulse read-queue rule-outbox session shard-stream store-orders hello transfers
  `,
  ),
}

const coreIsTested: Rule = (sources) => {
  const imported = new Set(
    sources.filter(({ path }) => isTest(path)).flatMap((source) => codeOf(source)),
  )
  for (const [owner, parts] of Object.entries(OWNERS)) {
    if (imported.has(owner)) for (const part of parts) imported.add(part)
  }
  return sources
    .filter((source) => LOGIC.test(source.path) && hasLogic(source) && !imported.has(source.path))
    .map(({ path }) => `no test imports ${path}`)
}

function hasLogic(source: Source): boolean {
  let found = false
  source.each((node) => {
    found ||= ts.isFunctionLike(node) && 'body' in node && node.body !== undefined
  })
  return found
}

// ---------------------------------------------------------------------- units

/** The folders of what a package has as one file, under the name of its program. */
const BUNDLED: Readonly<Record<string, string>> = { agent: 'firmware-agent', gateway: 'broker' }

/** `ExecStart` of a unit names `<program>.mjs`, which is made from the main of that program. */
function unitProblems(name: string, unit: string, sources: readonly Source[]): string[] {
  const program = /^ExecStart=.*\/([\w-]+)\.mjs(?: .*)?$/m.exec(unit)?.[1]
  if (program === undefined) return [`${name} starts no script`]
  const entry =
    program === 'obelisk' ? 'scripts/obelisk.ts' : `${BUNDLED[program] ?? program}/main.ts`
  return sources.some(({ path }) => path === entry)
    ? []
    : [`${name} starts ${entry}, which is not there`]
}

// ------------------------------------------------------------------ the rules

const sample = (path: string, text: string): Source => new Source(path, text)
const HEADER = '/**\n * One.\n * Two.\n */\n'

/** Each rule, sources that break it one by one, and sources that keep it. */
const RULES: readonly [name: string, rule: Rule, broken: Source[][], kept: Source[][]][] = [
  [
    'imports point down only',
    importsPointDown,
    [
      [sample('broker/core/x.ts', "import { a } from '../adapters/a.ts'")],
      [sample('broker/core/x.ts', "import { a } from '../../shared/runtime/logger.ts'")],
      [sample('broker/core/x.ts', "import type { A } from '../config.ts'")],
      [sample('broker/adapters/x.ts', "import { Coordinator } from '../core/coordinator.ts'")],
      [sample('broker/adapters/x.ts', "import { type A, b } from '../core/views.ts'")],
      [sample('broker/driver.ts', "import { MqttBroker } from './adapters/mqtt-broker.ts'")],
      [sample('broker/config.ts', "import { a } from './core/a.ts'")],
      [sample('broker/x.ts', "import type { A } from '../firmware-agent/core/agent.ts'")],
      [sample('firmware-agent/main.ts', "import { a } from '../broker/main.ts'")],
      [sample('shared/grid/x.ts', "export { a } from '../../broker/core/a.ts'")],
      [sample('shared/core/x.ts', "import { a } from '../grid/a.ts'")],
      [sample('shared/protocol/x.ts', "const a = import('../runtime/a.ts')")],
      [sample('broker/main.ts', "import { a } from '../test/support/a.ts'")],
      [sample('broker/dashboard/x.tsx', "import { a } from '../../shared/runtime/a.ts'")],
      [sample('broker/dashboard/x.ts', "import { a } from '../core/views.ts'")],
      [sample('broker/core/state/x.ts', "import type { A } from '../rules/a.ts'")],
      [sample('elsewhere/x.ts', '')],
    ],
    [
      [sample('broker/adapters/x.ts', "import type { View } from '../core/views.ts'")],
      [sample('broker/driver.ts', "import type { MqttBroker } from './adapters/mqtt-broker.ts'")],
      [sample('broker/core/x.ts', "import { a } from '../../shared/grid/a.ts'\nimport 'valibot'")],
      [sample('broker/dashboard/x.tsx', "import { a } from '../../shared/protocol/a.ts'")],
    ],
  ],
  [
    'code is not imported in a circle',
    importsHaveNoCycle,
    [
      [
        sample('shared/core/a.ts', "import { b } from './b.ts'"),
        sample('shared/core/b.ts', "import { c } from './c.ts'"),
        sample('shared/core/c.ts', "export * from './a.ts'"),
      ],
      [sample('shared/core/a.ts', "import { a } from './a.ts'")],
      [
        sample('broker/core/rules/a.ts', "import { b } from './b.ts'"),
        sample('broker/core/rules/b.ts', "import type { A } from './a.ts'"),
      ],
    ],
    [
      [
        sample('shared/core/a.ts', "import { b } from './b.ts'"),
        sample('shared/core/b.ts', "import type { A } from './a.ts'"),
      ],
    ],
  ],
  [
    'the gateway holds no cell and computes no operation',
    gatewayHoldsNoCell,
    [
      [
        sample('broker/main.ts', "import { a } from '../shared/core/a.ts'"),
        sample('shared/core/a.ts', "import { TilePage } from '../grid/tile-page.ts'"),
        sample('shared/grid/tile-page.ts', ''),
      ],
      [
        sample('broker/core/a.ts', "import '../../firmware-agent/core/agent.ts'"),
        sample('firmware-agent/core/agent.ts', ''),
      ],
      [
        sample(
          'broker/core/a.ts',
          "import type { O } from '../../shared/operations/operation.ts'\no.run(args)",
        ),
      ],
      [sample('broker/core/a.ts', 'part.act(cells)')],
      [sample('broker/core/a.ts', 'part.visit(cells)')],
    ],
    [
      [
        sample('broker/main.ts', "import type { TilePage } from '../shared/grid/tile-page.ts'"),
        sample('shared/grid/tile-page.ts', ''),
        sample('broker/adapters/a.ts', 'transaction.run(1)'),
      ],
    ],
  ],
  [
    'the client runs in browsers, too',
    clientRunsInBrowsers,
    [
      [sample('shared/client/x.ts', "import { request } from 'node:http'")],
      [sample('shared/client/x.ts', "import { connect } from 'mqtt'")],
      [sample('shared/client/x.ts', 'const a = Buffer.from(b)')],
      [
        sample('shared/client/x.ts', "import { a } from '../core/a.ts'"),
        sample('shared/core/a.ts', 'const a = process.pid'),
      ],
    ],
    [
      [
        sample('shared/client/x.ts', "import type { A } from '../core/a.ts'\nfetch(a)"),
        sample('shared/core/a.ts', "import 'node:crypto'"),
      ],
    ],
  ],
  [
    'programs draw from the system, not from a seed',
    programsDrawFromTheSystem,
    [[sample('broker/main.ts', 'const random = new Random(randomBytes(4).readUInt32LE())')]],
    [
      [
        sample('broker/main.ts', 'const random = new SystemRandom()'),
        sample('test/a.test.ts', 'const random = new Random(seed)'),
      ],
    ],
  ],
  [
    'tables take any name',
    tablesTakeAnyName,
    [
      [sample('broker/a.ts', 'const a: Record<string, number> = {}\na[name] = 1')],
      [sample('broker/a.ts', 'const A: Readonly<Record<string, number>> = { b: 1 }\nf(A[name])')],
      [sample('broker/a.ts', 'class A { #a: Record<string, B> = {}; b() { return this.#a[c] } }')],
      [sample('broker/a.ts', 'interface A { readonly b: Record<string, C> }\nf(a.b[c])')],
    ],
    [
      [
        sample(
          'broker/a.ts',
          "const a: Record<string, number> = f()\nown(a, name)\na['b']\nb[name]\ndelete a[name]",
        ),
      ],
    ],
  ],
  [
    'core and protocol are pure',
    coreIsPure,
    [
      'const a = Date.now()',
      'const a = new Date()',
      'const a = Math.random()',
      'setTimeout(() => {}, 1)',
      'const a = process.pid',
      'const a = { process }',
      'const a = performance.now()',
      'console.log(1)',
      'async function a() {}',
      'const a = async () => 1',
      'for await (const a of b) c(a)',
      'const a = Promise.resolve()',
      "import { readFileSync } from 'node:fs'",
      "import { randomBytes } from 'node:crypto'",
      "import net from 'node:net'",
      "import pino from 'pino'",
      "const a = 'a'.localeCompare('b')",
      'const a = globalThis',
    ].map((text) => [sample('broker/core/x.ts', text)]),
    [
      [
        sample(
          'broker/core/x.ts',
          "import { createHash } from 'node:crypto'\nimport * as v from 'valibot'",
        ),
      ],
      [
        sample(
          'broker/core/x.ts',
          'interface A { process: string }\nconst a: A = { process: b.process }',
        ),
      ],
      [sample('broker/core/x.ts', 'const { process } = hello\nconst a = { process }')],
      [sample('broker/adapters/x.ts', 'setTimeout(() => process.cwd(), Date.now())')],
    ],
  ],
  [
    'operations compute with exact functions only',
    operationsAreDeterministic,
    [
      [sample('shared/operations/x.ts', 'const a = Math.sin(1)')],
      [sample('shared/operations/x.ts', 'const a = Math.pow(2, 3)')],
    ],
    [[sample('shared/operations/x.ts', 'const a = Math.fround(Math.sqrt(2))')]],
  ],
  [
    'a process ends in main, and its environment is read in config',
    processEndsInOnePlace,
    [
      [sample('broker/driver.ts', 'process.exit(1)')],
      [sample('shared/runtime/shutdown.ts', 'process.exit(1)')],
      [sample('broker/adapters/x.ts', 'const a = process.env.OBELISK_A')],
    ],
    [
      [sample('broker/main.ts', 'process.exit(1)')],
      [sample('broker/config.ts', 'const a = process.env')],
      [sample('shared/runtime/x.ts', "const script = 'process.exit(0)'")],
    ],
  ],
  [
    'names say what a thing is',
    namesSayWhat,
    [
      [sample('shared/core/utils.ts', '')],
      [sample('shared/core/string-helpers.ts', '')],
      [sample('shared/core/hashRing.ts', '')],
      [sample('shared/core/x.ts', 'export class TileManager {}')],
      [sample('shared/core/x.ts', 'export const data = 1')],
      [sample('shared/core/x.ts', 'export function nodeInfo() {}')],
      [sample('shared/core/x.ts', 'export interface Common {}')],
    ],
    [[sample('shared/core/x.ts', 'const data = 1\nexport const dataDirectory = data')]],
  ],
  [
    'the page makes no markup of text, and asks nobody else',
    pageIsSafe,
    [
      [sample('broker/dashboard/x.tsx', 'element.innerHTML = text')],
      [sample('broker/dashboard/x.tsx', '<p dangerouslySetInnerHTML={{ __html: text }} />')],
      [sample('broker/dashboard/x.tsx', 'document.write(text)')],
      [sample('broker/dashboard/x.tsx', '<p style="color: red">a</p>')],
      [sample('broker/dashboard/x.tsx', '<img src="https://example.org/a.png" />')],
      [sample('broker/dashboard/x.ts', "fetch('http://example.org/')")],
    ],
    [
      [sample('broker/dashboard/x.tsx', '<p style={{ color }}>{text}</p>')],
      [sample('broker/adapters/x.ts', "const a = 'https://example.org'")],
    ],
  ],
  [
    'nothing is left open',
    nothingIsLeftOpen,
    [
      [sample('shared/core/x.ts', `// ${'FIX'}ME: wrong`)],
      [sample('shared/core/x.ts', `// ${'TO'}DO: later`)],
      [sample('shared/core/x.ts', `/*\n${'<'.repeat(7)} HEAD\n*/`)],
    ],
    [[sample('shared/core/x.ts', `// ${'TO'}DO: later (#12)`)]],
  ],
  [
    'files of core and protocol say what they hold',
    coreFilesSayWhatTheyAre,
    [
      [sample('broker/core/x.ts', 'export const a = 1')],
      [sample('shared/protocol/x.ts', '/** Short. */\nexport const a = 1')],
      [sample('shared/protocol/x.ts', `export const a = 1\n${HEADER}`)],
    ],
    [[sample('broker/core/x.ts', HEADER)], [sample('broker/adapters/x.ts', '')]],
  ],
  [
    'files are short',
    filesAreShort,
    [[sample('broker/core/x.ts', 'a\n'.repeat(LINES_MAX + 1))]],
    [[sample('broker/core/x.ts', 'a\n'.repeat(LINES_MAX))]],
  ],
  [
    'logic of core and protocol is tested',
    coreIsTested,
    [
      [sample('broker/core/x.ts', 'export function a() {}')],
      [
        sample('broker/core/x.ts', 'export const a = () => 1'),
        sample('test/x.test.ts', "import type { A } from '../broker/core/x.ts'"),
      ],
      [sample('broker/core/rules/writes.ts', 'export class Writes { a() {} }')],
    ],
    [
      [sample('broker/core/x.ts', 'export type A = () => void\nexport const LIMIT = 5')],
      [
        sample('broker/core/rules/writes.ts', 'export class Writes { a() {} }'),
        sample('test/x.test.ts', "import { Coordinator } from '../broker/core/coordinator.ts'"),
      ],
    ],
  ],
]

const tree = ['shared', 'broker', 'firmware-agent', 'scripts', 'test']
  .flatMap((folder) => listed(folder))
  .map((path) => new Source(path, readFileSync(new URL(path, ROOT), 'utf8')))

function listed(folder: string): string[] {
  const found = ts.sys.readDirectory(new URL(folder, ROOT).pathname, ['.ts', '.tsx'])
  return found.map((path) => posix.relative(ROOT.pathname, path)).sort()
}

t.test('the tree is read', (t) => {
  t.ok(tree.length > 40, `${tree.length} files`)
  t.ok(tree.some(({ path }) => path === 'shared/grid/tile-page.ts'))
  const paths = new Set(tree.map(({ path }) => path))
  for (const source of tree) {
    for (const { target } of source.imports.filter(({ target }) => isOurs(target))) {
      if (!paths.has(target)) t.fail(`${source.path} imports ${target}, which is not there`)
    }
  }
  t.end()
})

for (const [name, rule, broken, kept] of RULES) {
  t.test(name, (t) => {
    for (const sources of broken) t.not(rule(sources).length, 0, sources[0]!.text.slice(0, 80))
    for (const sources of kept) t.same(rule(sources), [], sources[0]!.text.slice(0, 80))
    t.same(rule(tree), [], 'the tree keeps it')
    t.end()
  })
}

t.test('every unit starts an entry that is there', (t) => {
  const folder = new URL('systemd/', ROOT)
  const units = existsSync(folder) ? ts.sys.readDirectory(folder.pathname, ['.service']) : []
  t.ok(units.length > 0)
  for (const path of units) {
    t.same(unitProblems(posix.basename(path), readFileSync(path, 'utf8'), tree), [])
  }
  t.same(unitProblems('a.service', 'ExecStart=/usr/bin/node /opt/broken.mjs', tree), [
    'a.service starts broken/main.ts, which is not there',
  ])
  t.same(unitProblems('a.service', 'ExecStart=/bin/true', tree), ['a.service starts no script'])
  t.end()
})

t.test(
  'every package runs on the oldest Node that ours promises, so that npm ci warns of none',
  (t) => {
    const { packages } = JSON.parse(readFileSync(new URL('package-lock.json', ROOT), 'utf8'))
    const oldest = majorOf(packages[''].engines.node)
    t.ok(oldest >= 20)
    for (const [path, { engines }] of Object.entries<{ engines?: { node?: string } }>(packages)) {
      const alternatives = engines?.node?.split('||') ?? []
      if (alternatives.length === 0) continue
      t.ok(
        alternatives.some((range) => majorOf(range) <= oldest),
        `${path} wants ${engines?.node}`,
      )
    }
    t.end()
  },
)

/** The first number of a range such as '>=20.19' or '^18.17.0'; 0 for '*'. */
function majorOf(range: string): number {
  return Number(/\d+/.exec(range)?.[0] ?? 0)
}
