/** A folder in which `obelisk` is a program that knows some ids, and writes down with what it was run. */
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { command } from '../support/secured-gateway.ts'

const OBELISK = `#!/bin/sh
case "$1 $2" in
  '__complete nodes') printf 'edge-1\\nedge-2\\nonly-one\\n' ;;
  '__complete '*) ;;
  *) echo "$@" > ran ;;
esac
`

export function completionBench(t: Test, files: Readonly<Record<string, string>>) {
  const folder = t.testdir({ ...files, obelisk: OBELISK, 'some.npy': '' })
  chmodSync(join(folder, 'obelisk'), 0o755)
  const env = { PATH: `${folder}:${process.env.PATH}`, HOME: folder, TERM: 'dumb' }
  return { folder, ran: join(folder, 'ran'), env }
}

export async function completionOf(shell: string): Promise<string> {
  const { code, stdout, stderr } = await command(['completion', shell])
  if (code !== 0) throw new Error(stderr)
  return stdout
}
