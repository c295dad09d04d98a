/**
 * What the first file of a backup says of the others. It is JSON, so that a person can read it, and a later version can
 * say more in it: what this one does not know of it is left alone, a later `version` is refused.
 */
import * as v from 'valibot'

export const MANIFEST = 'manifest.json'
/** The digest of the manifest, as sha256sum(1) writes it. */
export const MANIFEST_SUM = 'manifest.sha256'
export const LEDGER_FILE = 'ledger/data.mdb'
/** Keys and identities, sealed, as `ca backup` writes them. */
export const SECRETS_FILE = 'secrets.sealed'
export const CONFIGURATION_FILE = 'gateway.toml'
const BACKUP_VERSION = 1
const KIND = 'backup'

const WHOLE = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const FILE = v.object({ bytes: WHOLE, sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) })

const schema = v.object({
  obelisk: v.literal(KIND),
  version: v.literal(BACKUP_VERSION),
  /** Of the gateway that made it. */
  program: v.string(),
  ledgerId: v.string(),
  /** Starts of the gateway on that ledger. */
  term: WHOLE,
  /** The last sequence that was given to a write. */
  seq: WHOLE,
  /** Unix ms. */
  ts: WHOLE,
  /** Bits of a word of the machine: the ledger is opened on one that has as many. */
  word: WHOLE,
  /** Records of the ledger, by table. */
  records: v.record(v.string(), WHOLE),
  files: v.record(v.string(), FILE),
})

export type BackupManifest = v.InferOutput<typeof schema>

export type ManifestReading =
  | { readonly ok: true; readonly manifest: BackupManifest }
  /** `none`: it is something else. `later`: another version made it. */
  | { readonly ok: false; readonly problem: 'none' | 'later' | 'damaged' }

export function manifestText(facts: Omit<BackupManifest, 'obelisk' | 'version'>): string {
  return `${JSON.stringify({ obelisk: KIND, version: BACKUP_VERSION, ...facts }, null, 2)}\n`
}

export function readManifest(text: string): ManifestReading {
  const value = objectIn(text)
  if (value?.obelisk !== KIND) return { ok: false, problem: 'none' }
  const { version } = value
  if (typeof version === 'number' && version > BACKUP_VERSION)
    return { ok: false, problem: 'later' }
  const parsed = v.safeParse(schema, value)
  return parsed.success ? { ok: true, manifest: parsed.output } : { ok: false, problem: 'damaged' }
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
