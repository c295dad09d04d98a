/**
 * The web page as files: what stands in `broker/dashboard/` in one piece for what is shown at once, one for the views
 * that are loaded when one is wanted, and one for what programs and tasks are written with. Names carry a hash of what is inside, and each file has itself compressed
 * beside it. The same sources give the same bytes.
 */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, type Metafile, type Plugin } from 'esbuild'
import { CHECKOUT } from './checkout.ts'
import type { TreeFile } from './inventory.ts'
import { PackagingError } from './packaging-error.ts'
import { type Bundles, packageOf } from './third-party.ts'

const SOURCE = 'broker/dashboard'
const MANUAL = 'docs/operations.md'
/** No part of the page, but what it asks for when somebody wants to know what a code means. */
export const CODES_FILE = 'codes.json'
/**
 * Whatever this needs is in one file, also what other views need too: else esbuild makes a file of that, and each is
 * compressed for itself.
 */
const FIRST = [`${SOURCE}/app.tsx`, `${SOURCE}/parts/asked.ts`]
const MODE = 0o644

/** Gives each file what its JSX becomes: calls that are 0.2 KB shorter than those of `preact/jsx-runtime`. */
const ELEMENTS: Plugin = {
  name: 'elements',
  setup({ onLoad }) {
    onLoad({ filter: /\.tsx$/ }, ({ path }) => ({
      contents: `import { Fragment as Group, h } from 'preact';${readFileSync(path, 'utf8')}`,
      loader: 'tsx',
    }))
  },
}

export async function bundlePage(): Promise<Bundles> {
  const { outputFiles, metafile, warnings } = await build({
    absWorkingDir: CHECKOUT,
    entryPoints: [`${SOURCE}/main.tsx`, `${SOURCE}/page.css`],
    inject: FIRST,
    outdir: 'page',
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    write: false,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    plugins: [ELEMENTS],
    tsconfigRaw: {
      compilerOptions: { jsx: 'react', jsxFactory: 'h', jsxFragmentFactory: 'Group' },
    },
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
  })
  const [warning] = warnings
  if (warning !== undefined) {
    throw new PackagingError(`the page: ${warning.location?.file}: ${warning.text}`)
  }
  const made = outputFiles.map(({ path, contents }) =>
    plainFile(`page/${basename(path)}`, contents),
  )
  const files = [
    ...made,
    plainFile('icon.svg', Buffer.from(textOf(`${SOURCE}/icon.svg`))),
    plainFile('index.html', Buffer.from(indexOf(metafile))),
    plainFile(CODES_FILE, Buffer.from(JSON.stringify(remediesIn(textOf(MANUAL))))),
  ]
  return {
    files: files.flatMap((file) => [file, compressed(file)]),
    packages: [...new Set(Object.keys(metafile.inputs).flatMap(packageOf))].sort(),
  }
}

function textOf(path: string): string {
  return readFileSync(join(CHECKOUT, path), 'utf8')
}

function plainFile(path: string, bytes: Uint8Array): TreeFile {
  return { path, bytes, mode: MODE }
}

/** A smaller memory makes shorter blocks, each with a code of its own: 114 B less than with the default. */
function compressed({ path, bytes }: TreeFile): TreeFile {
  return plainFile(`${path}.gz`, gzipSync(bytes, { level: 9, memLevel: 6 }))
}

/** Names what is loaded at once, so that the browser need not read the first file to know of the next. */
function indexOf({ outputs }: Metafile): string {
  const outputOf = (source: string): string => {
    const found = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === source)
    if (found === undefined) throw new PackagingError(`the page has nothing of ${source}`)
    return found[0]
  }
  const script = outputOf(`${SOURCE}/main.tsx`)
  const preloads = outputs[script]!.imports.filter(({ kind }) => kind === 'import-statement').map(
    ({ path }) => `<link rel="modulepreload" href="${path}">\n    `,
  )
  return textOf(`${SOURCE}/index.html`)
    .replace('page.css', outputOf(`${SOURCE}/page.css`))
    .replace('<script', `${preloads.join('')}<script`)
    .replace('main.tsx', script)
}

/** Of each code the meaning, and after it the remedy. */
export type Remedies = Readonly<Record<string, readonly string[]>>

/** What the manual says where nothing needs to be done. */
const NOTHING = 'Nothing.'

const ROW = /^\| `([a-z0-9-]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm

/** Of what is told as an event, or as the error of a task. `manual` is the text of docs/operations.md. */
export function remediesIn(manual: string): Remedies {
  const table = manual.split('\n## Codes\n')[1] ?? ''
  const rows = [...table.matchAll(ROW)].filter(([, , said]) => /\b(event|task)\b/.test(said!))
  return Object.fromEntries(
    rows.map(([, code, , ...texts]) => [
      code!,
      texts.map(plain).filter((text) => text !== NOTHING),
    ]),
  )
}

/** What is above or below in the manual is not so in the page. */
function plain(text: string): string {
  return text
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '"$1"')
    .replace(/\bSee (above|below),/g, 'See the manual (operations.md),')
    .replace(/\bSee "/g, 'See the manual (operations.md), "')
    .trim()
}
