/** The licences of what others wrote and what our bundles hold, from the packages themselves. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKOUT } from './checkout.ts'
import { type BundledPackage, compare, type TreeFile } from './inventory.ts'
import { PackagingError } from './packaging-error.ts'

/** Files with code of others inside. */
export interface Bundles {
  /** From the top of what they are part of. */
  readonly files: readonly TreeFile[]
  /** Folders of packages whose code is inside, from the top of the checkout. */
  readonly packages: readonly string[]
}

export interface ThirdParty {
  readonly packages: readonly BundledPackage[]
  readonly text: string
}

/** What `lmdb.node` is compiled from besides lmdb's own sources. */
const NATIVE_FOLDERS: readonly { folder: string; package: BundledPackage }[] = [
  {
    folder: 'node_modules/lmdb/dependencies/lmdb/libraries/liblmdb',
    package: { name: 'liblmdb', version: '', license: 'OLDAP-2.8' },
  },
  {
    folder: 'node_modules/lmdb/dependencies/lz4/lib',
    package: { name: 'lz4', version: '', license: 'BSD-2-Clause' },
  },
]
const NATIVE_PACKAGES: readonly string[] = ['node_modules/node-addon-api']

const RULE = '='.repeat(78)

/** `node_modules/a/node_modules/@b/c` of a file below it; nothing of one of ours. */
export function packageOf(path: string): string[] {
  const found = /^(.*\/)?node_modules\/(@[^/]+\/)?[^/]+/.exec(path)
  return found === null ? [] : [found[0]]
}

/** `folders` are those of the bundled packages, from the top of the checkout. */
export function thirdPartyOf(folders: readonly string[]): ThirdParty {
  const found = [...new Set([...folders, ...NATIVE_PACKAGES])].map((folder) => ({
    folder,
    package: describe(folder),
  }))
  const version = found.find(({ package: { name } }) => name === 'lmdb')?.package.version ?? ''
  const native = NATIVE_FOLDERS.map(({ folder, package: about }) => ({
    folder,
    package: { ...about, version: `of lmdb ${version}` },
  }))
  const all = [...found, ...native].sort((left, right) =>
    compare(keyOf(left.package), keyOf(right.package)),
  )
  const parts = all.map(({ folder, package: { name, version, license } }) =>
    [RULE, `${name} ${version} (${license})`, RULE, '', licenceText(folder), ''].join('\n'),
  )
  const head = 'This package holds software of others, under the licences below.\n\n'
  return { packages: all.map((one) => one.package), text: head + parts.join('\n') }
}

function keyOf({ name, version }: BundledPackage): string {
  return `${name} ${version}`
}

function describe(folder: string): BundledPackage {
  const text = readFileSync(join(CHECKOUT, folder, 'package.json'), 'utf8')
  const { name, version, license } = JSON.parse(text) as Partial<BundledPackage>
  if (typeof name !== 'string' || typeof version !== 'string' || typeof license !== 'string') {
    throw new PackagingError(`${folder}/package.json does not name its licence`)
  }
  return { name, version, license }
}

function licenceText(folder: string): string {
  const directory = join(CHECKOUT, folder)
  const names = readdirSync(directory).filter((name) =>
    /^(licen[cs]e|copying|copyright|notice)([.-].*)?$/i.test(name),
  )
  const texts = names
    .sort(compare)
    .map((name) => readFileSync(join(directory, name), 'utf8').trim())
  return texts.length > 0 ? texts.join('\n\n') : termsOf(folder)
}

/** A few packages name their licence and author, and leave its text out. */
function termsOf(folder: string): string {
  const text = readFileSync(join(CHECKOUT, folder, 'package.json'), 'utf8')
  const { license, author } = JSON.parse(text) as { license?: string; author?: string }
  if (license !== 'MIT' || typeof author !== 'string') {
    throw new PackagingError(`${folder} has no text of its licence`)
  }
  return `The MIT License\n\nCopyright (c) ${author}\n\n${MIT_TERMS}`
}

const MIT_TERMS = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO
EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
THE USE OR OTHER DEALINGS IN THE SOFTWARE.`
