/** Looks at an agent's identity, or a gateway's keys. Changes nothing. */
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Identity, readIdentity } from '../../firmware-agent/adapters/identity-files.ts'
import { toBase32 } from '../../shared/core/base32.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { lastBackupTs } from '../../shared/runtime/backup-mark.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { unfinished } from '../../shared/runtime/private-folder.ts'
import { fingerprint, spkiOf } from '../../shared/runtime/public-keys.ts'
import type { IdentityFacts } from './security-findings.ts'

const OTHERS = 0o077

export interface Seen {
  readonly facts: IdentityFacts
  readonly exposed: readonly string[]
  readonly identity?: Identity
}

/** `folder` is one of those where an agent may have it. */
export function seeIdentity(folder: string, id: NodeId): Seen {
  return see(folder, ['key.pem', 'cert.pem'], () => {
    const identity = readIdentity(folder, id)
    if (identity === undefined) return undefined
    return { ca: identity.ca, identity }
  })
}

/** What a restore that was killed has left, or one that runs is making. */
export function leftOverOf(folder: string): string | undefined {
  const path = unfinished(folder)
  return existsSync(path) ? path : undefined
}

export function seeGatewayKeys(folder: string): Seen {
  return see(folder, ['ca.key', 'agents.key', 'hosts.key'], () => {
    const backupTs = lastBackupTs(folder)
    const ca = readFileSync(join(folder, 'ca.crt'), 'utf8')
    return { ca, ...(backupTs === undefined ? {} : { backupTs }) }
  })
}

interface Loaded {
  readonly ca: string
  readonly identity?: Identity
  readonly backupTs?: number
}

function see(folder: string, secrets: readonly string[], load: () => Loaded | undefined): Seen {
  try {
    const { birthtimeMs } = statSync(folder)
    const exposed = secrets
      .map((name) => join(folder, name))
      .filter((path) => existsSync(path) && (statSync(path).mode & OTHERS) !== 0)
    if (exposed.length > 0) return { facts: { kind: 'hidden' }, exposed }
    const loaded = load()
    if (loaded === undefined) return { facts: { kind: 'none' }, exposed }
    const { ca, identity, ...more } = loaded
    const pin = pinOf(ca)
    const facts = { kind: 'there', pin, sinceMs: birthtimeMs, ...more } as const
    return { facts, exposed, ...(identity === undefined ? {} : { identity }) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return { facts: { kind: 'none' }, exposed: [] }
    if (code === 'EACCES') return { facts: { kind: 'hidden' }, exposed: [] }
    return { facts: { kind: 'broken', why: messageOf(error) }, exposed: [] }
  }
}

/** As tokens carry it. */
export function pinOf(certificate: string | Buffer): string {
  return toBase32(fingerprint(spkiOf(new X509Certificate(certificate).publicKey)))
}
