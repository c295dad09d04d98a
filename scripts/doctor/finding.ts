/** One thing that the doctor has to say. */
import type { Role } from '../package/architectures.ts'

export type Level = 'ok' | 'warn' | 'fail'

export interface Finding {
  readonly check: string
  readonly level: Level
  readonly message: string
  /** A command, or what to do by hand. */
  readonly fix?: string
}

export const AS_ROOT = 'sudo obelisk doctor'

export function ok(check: string, message: string): Finding {
  return { check, level: 'ok', message }
}

export function warn(check: string, message: string, fix: string): Finding {
  return { check, level: 'warn', message, fix }
}

export function fail(check: string, message: string, fix: string): Finding {
  return { check, level: 'fail', message, fix }
}

export function installCommand(role: Role): string {
  return `sudo obelisk install --role ${role} --from <unpacked package>`
}
