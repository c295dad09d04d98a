/**
 * Where the programs lie that `obelisk` starts: in a checkout. Packages have
 * `scripts/package/programs.ts` in its place.
 */
import { own } from '../shared/core/own.ts'

const PATHS: Readonly<Record<string, string>> = {
  gateway: '../broker/main.ts',
  agent: '../firmware-agent/main.ts',
  demo: './demo/demo.ts',
}

export function isProgram(name: string): boolean {
  return own(PATHS, name) !== undefined
}

/** What `obelisk.ts`, which stands beside this file, imports. */
export function programPath(name: string): string {
  return own(PATHS, name)!
}
