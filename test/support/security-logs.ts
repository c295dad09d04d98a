/** Security logs on disk, as tests make them, change them and read them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SecurityLog, type SecurityLogOptions } from '../../broker/adapters/security-log.ts'
import type { SecurityEvent, WeighedEvent } from '../../shared/protocol/security-events.ts'
import {
  parseLine,
  SECURITY_FILES_KEPT,
  type SecurityHead,
  type SecurityLine,
} from '../../shared/protocol/security-log.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { nameOf } from '../../shared/runtime/security-log-files.ts'

export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} }

export function grantOf(node: number | string): SecurityEvent<WeighedEvent> {
  const what = `node/n${node}`
  return { event: 'enrolled', who: what, source: '192.168.1.9', via: 'enrol' }
}

export const REVOKED: SecurityEvent<WeighedEvent> = {
  event: 'node-revoked',
  who: 'user/anna',
  what: 'node/n1',
  source: '192.168.1.2',
  via: 'http',
}

export async function openLog(
  folder: string,
  options: Partial<SecurityLogOptions> = {},
  log = SILENT,
): Promise<SecurityLog> {
  const now = () => ({ monotonicMs: performance.now(), wallMs: Date.now() })
  return await SecurityLog.open({ folder, now, ...options }, log)
}

/** The paths that are there, the oldest first. */
export function pathsOf(folder: string): string[] {
  const names = Array.from({ length: SECURITY_FILES_KEPT + 1 }, (_, number) => nameOf(number))
  return names
    .toReversed()
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path))
}

export function linesIn(folder: string): SecurityLine[] {
  return pathsOf(folder).flatMap((path) => {
    const text = readFileSync(path, 'utf8')
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => parseLine(Buffer.from(line))!)
  })
}

export function eventsIn(folder: string): string[] {
  return linesIn(folder).map(({ event }) => event)
}

/** Its files as they are, by name. */
export function contentOf(folder: string): Map<string, Buffer> {
  const names = readdirSync(folder)
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]))
}

/** A log of so many grants, which are spread over several files. */
export async function writeLog(
  folder: string,
  {
    grants,
    fileBytesMax = 1500,
    filesKept = SECURITY_FILES_KEPT,
  }: {
    readonly grants: number
    readonly fileBytesMax?: number
    readonly filesKept?: number
  },
): Promise<SecurityHead> {
  const log = await openLog(folder, { fileBytesMax, filesKept })
  for (let number = 0; number < grants; number++) await log.append(grantOf(number))
  await log.close()
  return log.head
}
