/** Trees of files as packages bring them: read, checked against their inventory, put in place. */
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { AppError, EXIT_BAD_INPUT, messageOf } from '../../shared/runtime/errors.ts'
import { flush } from '../../shared/runtime/flush.ts'
import { INVENTORY_FILE, PUBLIC_KEY_FILE, restoreModes, verifyTree } from '../package/inventory.ts'
import { faultOf } from '../path-faults.ts'
import type { TreeFacts } from './facts.ts'
import { NODE_RANGE } from './places.ts'

const SHOWN_MAX = 5

/** What the tree says of itself, or nothing where there is none. */
export function readTree(directory: string, trustedKey: string | undefined): TreeFacts | undefined {
  if (!isThere(join(directory, 'package.json'))) return undefined
  try {
    const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
    const { role, architecture, node = NODE_RANGE } = manifest.obelisk
    const unit = join(directory, 'systemd', `obelisk-${role}.service`)
    return {
      path: directory,
      version: String(manifest.version),
      role: String(role),
      architecture: String(architecture),
      node: String(node),
      inventory: readFileSync(join(directory, INVENTORY_FILE), 'utf8'),
      unitText: readFileSync(unit, 'utf8'),
      problems: problemsOf(directory, trustedKey),
    }
  } catch (error) {
    const fault = faultOf(error, directory, 'looked at')
    if (fault instanceof AppError) throw fault
    throw badTree(directory, [messageOf(error)], error)
  }
}

/** The key that a tree came with, which the next one has to be signed by too. */
export function readKey(directory: string): string | undefined {
  const path = join(directory, PUBLIC_KEY_FILE)
  return isThere(path) ? readFileSync(path, 'utf8') : undefined
}

/** What may not be looked at throws: it is not the same as not there. */
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function problemsOf(directory: string, trustedKey: string | undefined): string[] {
  const key = trustedKey ?? readKey(directory)
  if (key === undefined) return [`${PUBLIC_KEY_FILE} is missing`]
  return verifyTree(directory, key).map(({ path, message }) => `${path} ${message}`)
}

export function badTree(directory: string, problems: readonly string[], cause?: unknown): AppError {
  const more = problems.length > SHOWN_MAX ? [`and ${problems.length - SHOWN_MAX} more`] : []
  const lines = [...problems.slice(0, SHOWN_MAX), ...more].map((line) => `\n  ${line}`).join('')
  return new AppError('bad-package', `${directory} is not a sound package:${lines}`, {
    ...(cause === undefined ? {} : { cause }),
    exitCode: EXIT_BAD_INPUT,
  })
}

/**
 * Puts a copy of `from` to `to`: copied and flushed beside it, checked, then renamed. At any moment
 * `to` is a whole tree or, between two renames, absent with the old one whole at `previous`.
 */
export function placeTree(from: string, to: string, previous: string, trustedKey?: string): void {
  const copy = `${to}.new`
  rmSync(copy, { recursive: true, force: true })
  try {
    cpSync(from, copy, { recursive: true, preserveTimestamps: true })
    restoreModes(copy)
    const problems = problemsOf(copy, trustedKey)
    if (problems.length > 0) throw badTree(copy, problems)
    flushTree(copy)
  } catch (error) {
    rmSync(copy, { recursive: true, force: true })
    throw error
  }
  if (existsSync(to)) {
    rmSync(previous, { recursive: true, force: true })
    renameSync(to, previous)
  }
  renameSync(copy, to)
  flush(join(to, '..'))
}

/** The tree that was kept takes its place again. */
export function restoreTree(from: string, to: string): void {
  const failed = `${to}.failed`
  rmSync(failed, { recursive: true, force: true })
  if (existsSync(to)) renameSync(to, failed)
  renameSync(from, to)
  flush(join(to, '..'))
  rmSync(failed, { recursive: true, force: true })
}

function flushTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) flushTree(path)
    else flush(path)
  }
  flush(directory)
}
