/**
 * The cores with one line changed: compiled from the sources into a directory of their own, so that a
 * mutant and the real thing can run side by side.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import type { CoordinatorClass } from './simulated-gateway.ts'
import type { AgentClass } from './simulated-node.ts'

/** Replaces `from`, which must stand there exactly once, by `to`. */
export interface Edit {
  readonly file: string
  readonly from: string
  readonly to: string
}

const ROOT = new URL('../../', import.meta.url)
const FOLDERS = [
  'broker/core',
  'firmware-agent/core',
  ...['core', 'grid', 'operations', 'protocol'].map((name) => `shared/${name}`),
]

const compiled = new Map<string, string>()

function compile(source: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  }
  return ts.transpileModule(source, { compilerOptions }).outputText
}

/** Compiles the tree with this edit into `directory` and loads the cores from there. */
export async function loadMutated(
  directory: string,
  edit: Edit,
): Promise<{ Coordinator: CoordinatorClass; Agent: AgentClass }> {
  let isEdited = false
  for (const folder of FOLDERS) {
    for (const name of readdirSync(new URL(folder, ROOT))) {
      if (!name.endsWith('.ts')) continue
      const file = `${folder}/${name}`
      const source = readFileSync(new URL(file, ROOT), 'utf8')
      if (!compiled.has(file)) compiled.set(file, compile(source))
      let output = compiled.get(file)!
      if (file === edit.file) {
        const parts = source.split(edit.from)
        if (parts.length !== 2) throw new Error(`${file} has not once: ${edit.from}`)
        output = compile(parts.join(edit.to))
        isEdited = true
      }
      const path = join(directory, file.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, output)
    }
  }
  if (!isEdited) throw new Error(`there is no ${edit.file}`)
  const load = async (file: string): Promise<Record<string, unknown>> =>
    await import(pathToFileURL(join(directory, file)).href)
  const { Coordinator } = await load('broker/core/coordinator.js')
  const { Agent } = await load('firmware-agent/core/agent.js')
  return { Coordinator: Coordinator as CoordinatorClass, Agent: Agent as AgentClass }
}
