/**
 * The programs with some lines changed: compiled from the sources into a directory of their own, so that a
 * mutant and the real thing can run side by side.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { type Programs, SOURCES } from './programs.ts'

/** Replaces `from`, which must stand there exactly once, by `to`. */
export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

const ROOT = new URL('../../', import.meta.url)

/** What compiling gave, by source. */
const compiled = new Map<string, string>()

function compile(source: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  let output = compiled.get(source)
  if (output === undefined) {
    output = ts.transpileModule(source, { compilerOptions }).outputText
    compiled.set(source, output)
  }
  return output
}

function edited(file: string, edits: readonly Edit[]): string {
  let source = readFileSync(new URL(file, ROOT), 'utf8')
  for (const { from, to } of edits.filter((edit) => edit.file === file)) {
    const parts = source.split(from)
    if (parts.length !== 2) throw new Error(`${file} has not once: ${from}`)
    source = parts.join(to)
  }
  return source
}

/** Compiles what the programs consist of, with these edits, into `directory`, and loads it from there. */
export async function loadMutated(directory: string, edits: readonly Edit[]): Promise<Programs> {
  const files = new Set(Object.values(SOURCES))
  for (const file of files) {
    const output = compile(edited(file, edits))
    const path = join(directory, file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, output)
    for (const [, imported] of output.matchAll(/ from ["'](\.[^"']*)\.js["']/g)) {
      files.add(posix.join(posix.dirname(file), `${imported}.ts`))
    }
  }
  const strange = edits.find(({ file }) => !files.has(file))
  if (strange !== undefined) throw new Error(`no program has ${strange.file}`)
  const loaded = Object.entries(SOURCES).map(async ([name, file]) => {
    const url = pathToFileURL(join(directory, file.replace(/\.ts$/, '.js'))).href
    return [name, (await import(url))[name]]
  })
  return Object.fromEntries(await Promise.all(loaded)) as Programs
}
