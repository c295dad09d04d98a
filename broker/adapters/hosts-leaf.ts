/**
 * The certificate that browsers and clients of MQTT see, which check names and dates: it carries the names and
 * addresses of this machine, and has to be made anew before it ends, when they change, and when the clock turns out
 * to have been wrong. Its key stays. What agents see is another one (fleet-keys.ts).
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { isHostName } from '../../shared/runtime/host-names.ts'
import { readPrivate, replacePrivate } from '../../shared/runtime/private-folder.ts'
import { newKeyPair, pemOf } from '../../shared/runtime/public-keys.ts'
import { type Authority, certifyServer } from './certificates.ts'
import type { TlsKeys } from './tls-listener.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Some systems take none that is valid for longer than 398 days. */
const VALID_MS = 397 * DAY_MS
/** Clocks of clients may be behind ours. */
const BACKDATED_MS = DAY_MS
/** Left when it is made anew. */
const LEFT_MS = 132 * DAY_MS
const KEY = 'hosts.key'
const CERTIFICATE = 'hosts.crt'

export interface HostsLeafOptions {
  readonly folder: string
  readonly authority: Authority
  /** Names of this machine besides its own. */
  readonly names: readonly string[]
  /** Unix ms. */
  readonly now: () => number
  /** Those of this machine, by its system. */
  readonly ownNames?: () => readonly string[]
}

export class HostsLeaf {
  readonly #options: HostsLeafOptions
  readonly #key: string
  #certificate: string | undefined

  /** What is there, or nothing but a key; `look` makes a certificate. */
  static open(options: HostsLeafOptions): HostsLeaf {
    const { folder } = options
    let key = readPrivate(join(folder, KEY))
    if (key === undefined) {
      key = pemOf(newKeyPair())
      replacePrivate(folder, KEY, key)
    }
    return new HostsLeaf(options, key, readPrivate(join(folder, CERTIFICATE)))
  }

  private constructor(options: HostsLeafOptions, key: string, certificate: string | undefined) {
    this.#options = options
    this.#key = key
    this.#certificate = certificate
  }

  /** Nothing before the first look. */
  get keys(): TlsKeys {
    const ca = this.#options.authority.certificate
    return { key: this.#key, certificate: `${this.#certificate}${ca}`, ca }
  }

  /** Makes it anew if that is due; true if it did, once it is on disk. */
  async look(): Promise<boolean> {
    const { folder, authority, now, ownNames = namesOfMachine, names: more } = this.#options
    const names = [...new Set([...ownNames(), ...more])]
    const nowTs = now()
    if (this.#certificate !== undefined && !isDue(this.#certificate, names, nowTs)) return false
    const publicKey = createPublicKey(createPrivateKey(this.#key))
    const validity = { fromTs: nowTs - BACKDATED_MS, toTs: nowTs + VALID_MS }
    const made = await certifyServer(authority, publicKey, { names, validity })
    replacePrivate(folder, CERTIFICATE, made)
    this.#certificate = made
    return true
  }
}

/** Whether it ends soon, has not begun by this clock, is nobody's, or is of other names. */
function isDue(certificate: string, names: readonly string[], nowTs: number): boolean {
  let leaf: X509Certificate
  try {
    leaf = new X509Certificate(certificate)
  } catch {
    return true
  }
  const [fromTs, toTs] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)]
  const isNow = nowTs >= fromTs + HOUR_MS && nowTs <= toTs - LEFT_MS
  const count = leaf.subjectAltName?.split(', ').length ?? 0
  const hasAll = names.every((name) =>
    isIP(name) > 0 ? leaf.checkIP(name) !== undefined : leaf.checkHost(name) !== undefined,
  )
  return !isNow || !hasAll || count !== names.length
}

/** By which others may reach this machine. */
function namesOfMachine(): readonly string[] {
  const [name] = hostname().split('.')
  const addresses = Object.values(interfaces()).flatMap((some) => some ?? [])
  // An address of one link names an interface of the client, too: nobody dials it by a certificate.
  const dialled = addresses.map(({ address }) => address).filter((one) => !one.startsWith('fe80:'))
  return [...new Set([hostname(), `${name}.local`, 'localhost', '127.0.0.1', '::1', ...dialled])]
    .filter(isHostName)
    .sort()
}

/** None where a service may not ask: better a certificate without addresses than no gateway. */
function interfaces(): ReturnType<typeof networkInterfaces> {
  try {
    return networkInterfaces()
  } catch {
    return {}
  }
}
