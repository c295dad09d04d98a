/**
 * The programs with some lines changed, loaded beside those that ship. What does not import a changed file is the same
 * for both: it is loaded, and made fast by the engine, only once.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Programs, SOURCES } from './programs.ts'

/** Replaces `from`, which must stand there exactly once, by `to`. */
export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

const ROOT = new URL('../../', import.meta.url)
/** Inside the tree, so that the programs find their dependencies; ignored by git. */
const FOLDER = fileURLToPath(new URL('.tap/', ROOT))
const IMPORTS = /^import (?!type )(?:[^'"]* from )?'(\.[^']*)'/gm

/** What each file of the programs imports. */
const imports = new Map<string, readonly string[]>()

function importsOf(file: string): readonly string[] {
  let found = imports.get(file)
  if (found === undefined) {
    const source = readFileSync(new URL(file, ROOT), 'utf8')
    const folder = posix.dirname(file)
    found = [...source.matchAll(IMPORTS)].map(([, path]) => posix.join(folder, path!))
    imports.set(file, found)
  }
  return found
}

/** The changed files, and all of the programs that lead to one. */
function affectedBy(changed: ReadonlySet<string>): string[] {
  const isAffected = new Map([...changed].map((file) => [file, true]))
  const look = (file: string): boolean => {
    const known = isAffected.get(file)
    if (known !== undefined) return known
    const found = importsOf(file).map(look).includes(true)
    isAffected.set(file, found)
    return found
  }
  for (const file of Object.values(SOURCES)) look(file)
  return [...isAffected].filter(([, isSo]) => isSo).map(([file]) => file)
}

export function edited(file: string, edits: readonly Edit[]): string {
  let source = readFileSync(new URL(file, ROOT), 'utf8')
  for (const { from, to } of edits.filter((edit) => edit.file === file)) {
    const parts = source.split(from)
    if (parts.length !== 2) throw new Error(`${file} has not once: ${from}`)
    source = parts.join(to)
  }
  return source
}

/** What stands in for ours; once it is loaded, no file is left. */
export async function loadMutated(edits: readonly Edit[]): Promise<Programs> {
  mkdirSync(FOLDER, { recursive: true })
  const directory = mkdtempSync(`${FOLDER}mutant-`)
  try {
    return await loadFrom(directory, edits)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Writes into `directory` what hooks.js needs for programs with these edits, and loads them. */
async function loadFrom(directory: string, edits: readonly Edit[]): Promise<Programs> {
  const changed = new Set(edits.map(({ file }) => file))
  for (const file of changed) {
    const path = join(directory, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, edited(file, edits))
  }
  const affected = affectedBy(changed)
  writeFileSync(join(directory, 'affected.json'), JSON.stringify(affected))
  const loaded = Object.entries(SOURCES).map(async ([name, file]) => {
    const url = new URL(file, ROOT)
    if (affected.includes(file)) {
      url.searchParams.set('instead', pathToFileURL(`${directory}/`).href)
    }
    return [name, (await import(url.href))[name]]
  })
  return Object.fromEntries(await Promise.all(loaded)) as Programs
}

/** One file with these edits, which takes all else from those that ship. */
export async function loadEdited(file: string, edits: readonly Edit[]): Promise<unknown> {
  mkdirSync(FOLDER, { recursive: true })
  const directory = mkdtempSync(`${FOLDER}mutant-`)
  try {
    const path = join(directory, 'edited.ts')
    const folder = new URL('./', new URL(file, ROOT))
    const source = edited(file, edits).replaceAll(/from '(\.[^']*)'/g, (_, to: string) => {
      return `from '${new URL(to, folder).href}'`
    })
    writeFileSync(path, source)
    return await import(pathToFileURL(path).href)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
