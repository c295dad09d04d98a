/**
 * What `obelisk login` keeps: which gateway, what it is known by, and the token of who logged in. One file, its owner's
 * alone, whole or not there.
 */
import { rmSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import * as v from 'valibot'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import type { Environment } from '../../shared/runtime/option-table.ts'
import { readPrivate } from '../../shared/runtime/private-folder.ts'
import { fault } from '../fault.ts'
import { faultOf, inWords } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'

const contextSchema = v.object({
  /** `https://host:port`. */
  url: v.string(),
  /** `mqtts://host:port`, if the gateway said it. */
  mqtt: v.optional(v.string()),
  /** The certificate of the fleet's authority, PEM. */
  ca: v.string(),
  user: v.string(),
  token: v.string(),
})
export type Context = v.InferOutput<typeof contextSchema>

const OWNER_ALONE = 0o600
/** What comes out of a place where there is no such file, or no folder for one. */
const NOT_THERE = ['ENOENT', 'ENOTDIR']

/** Nothing where the environment has no place for one (XDG Base Directory Specification). */
export function contextPath({ XDG_CONFIG_HOME, HOME }: Environment): string | undefined {
  const isGiven = XDG_CONFIG_HOME !== undefined && isAbsolute(XDG_CONFIG_HOME)
  const folder = isGiven ? XDG_CONFIG_HOME : HOME && join(HOME, '.config')
  return folder ? join(folder, 'obelisk', 'context.json') : undefined
}

/** Nothing if nobody has logged in. `key-exposed` if others can read it. */
export function readContext(environment: Environment): Context | undefined {
  const path = contextPath(environment)
  const text = path && readText(path)
  if (text === undefined || text === '') return undefined
  const parsed = v.safeParse(contextSchema, jsonOf(text))
  if (parsed.success) return parsed.output
  const message = `${path} is not what obelisk login wrote: log in again`
  throw fault('context-broken', message)
}

function readText(path: string): string | undefined {
  try {
    return readPrivate(path)
  } catch (error) {
    if (NOT_THERE.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw faultOf(error, path, 'looked at')
  }
}

/** On disk when this returns. */
export function writeContext(environment: Environment, context: Context): void {
  const path = contextPath(environment)
  if (path === undefined) {
    const message = 'there is no place to keep it: neither HOME nor XDG_CONFIG_HOME is set'
    throw fault('no-home', message)
  }
  inWords(path, 'changed', () => {
    makeDirectory(dirname(path), 0o700)
    writeWhole(path, `${JSON.stringify(context, undefined, 2)}\n`, OWNER_ALONE)
  })
}

/** False if there was none. */
export function removeContext(environment: Environment): boolean {
  const path = contextPath(environment)
  try {
    if (path === undefined) return false
    rmSync(path)
    return true
  } catch (error) {
    if (NOT_THERE.includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw faultOf(error, path!, 'changed')
  }
}

/** Whether both are one address, however they are written. */
export function isSameUrl(known: string | undefined, given: string): boolean {
  if (known === undefined || !URL.canParse(known) || !URL.canParse(given)) return false
  return new URL(known).href === new URL(given).href
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
