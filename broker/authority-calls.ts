/** What an admin asks of the fleet's authority over HTTP: a look at it, and a backup, which is in the security log first. */
import { X509Certificate } from 'node:crypto'
import { isIPv6, SocketAddress } from 'node:net'
import { toBase32 } from '../shared/core/base32.ts'
import { keepLastBackup, lastBackupTs } from '../shared/runtime/backup-mark.ts'
import { AppError } from '../shared/runtime/errors.ts'
import { type Derive, passphraseFault, sealFile } from '../shared/runtime/sealed-file.ts'
import type { FleetKeys } from './adapters/fleet-keys.ts'
import type { Asker, AuthorityPort, AuthorityView, LeafView } from './adapters/http-port.ts'
import type { IdentityStore } from './adapters/identity-store.ts'
import type { SecurityLog } from './adapters/security-log.ts'
import { type KeyFile, writeBackup } from './core/backup.ts'

export interface AuthorityParts {
  readonly keys: FleetKeys
  readonly store: IdentityStore
  readonly log: SecurityLog
  /** Of the keys. */
  readonly folder: string
  /** Those that cannot be made anew. */
  files(): readonly KeyFile[]
  /** What clients that check names see, PEM. */
  hostsCertificate(): string
  /** Unix ms that do not go back. */
  nowTs(): number
  readonly derive?: Derive
}

export class AuthorityCalls implements AuthorityPort {
  readonly #parts: AuthorityParts
  /** One at a time: it takes 64 MiB for half a second, and all identities for as long as it takes. */
  #isUnderWay = false
  /** When those were made that were given since the start. */
  readonly #givenTs = new Set<number>()

  constructor(parts: AuthorityParts) {
    this.#parts = parts
  }

  view(): AuthorityView {
    const { keys, folder, hostsCertificate, store } = this.#parts
    const { changedTs } = store.meta
    const { subject, validFrom, validTo } = new X509Certificate(keys.authority.certificate)
    const backupTs = lastBackupTs(folder)
    return {
      ...{ pin: toBase32(keys.pin), subject },
      ...{ fromTs: Date.parse(validFrom), untilTs: Date.parse(validTo) },
      leaves: [leafOf('agents', keys.agents.certificate), leafOf('hosts', hostsCertificate())],
      ...(backupTs === undefined ? {} : { backupTs }),
      ...(changedTs === undefined ? {} : { changedTs }),
    }
  }

  async backup(passphrase: string, asker: Asker): Promise<Uint8Array> {
    const fault = passphraseFault(passphrase)
    if (fault !== undefined) throw new AppError('passphrase-unsuitable', fault)
    if (this.#isUnderWay) {
      throw new AppError('backup-under-way', 'a backup is being made: try again when it is')
    }
    this.#isUnderWay = true
    try {
      return await this.#make(passphrase, asker)
    } finally {
      this.#isUnderWay = false
    }
  }

  async #make(passphrase: string, asker: Asker): Promise<Uint8Array> {
    const { keys, store, log, files, nowTs, derive } = this.#parts
    const ts = nowTs()
    // Whatever was decided until then is on the disk.
    await store.write([])
    const moment = { ts, log: log.head }
    const content = writeBackup(moment, files(), await store.stored())
    const head = { ts, pin: toBase32(keys.pin) }
    const file = await sealFile(head, passphrase, content, derive)
    const { who, via } = asker
    asker.assertMay()
    await log.append({ event: 'ca-backup', who, via })
    asker.assertMay()
    this.#givenTs.add(ts)
    return file
  }

  kept(ts: number): void {
    if (!this.#givenTs.has(ts)) {
      throw new AppError('unknown-backup', 'no backup of that time was given since the start')
    }
    const { folder } = this.#parts
    if (ts > (lastBackupTs(folder) ?? 0)) keepLastBackup(folder, ts)
  }
}

/** Of the first certificate in the text. */
function leafOf(of: LeafView['of'], pem: string): LeafView {
  const { subjectAltName = '', validFrom, validTo } = new X509Certificate(pem)
  const names = subjectAltName.split(', ').map((name) => shortest(name.replace(/^[^:]*:/, '')))
  return { of, names, fromTs: Date.parse(validFrom), untilTs: Date.parse(validTo) }
}

/** OpenSSL writes the zeros of IPv6 out. */
function shortest(name: string): string {
  return isIPv6(name) ? new SocketAddress({ family: 'ipv6', address: name }).address : name
}
