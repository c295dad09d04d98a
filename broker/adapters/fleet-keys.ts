/**
 * The keys and certificates of a gateway that is secured, in `security/` of its data: those of the fleet's
 * authority, and those that it shows to agents. Both are made at once and for good; what a browser sees has bounds
 * and is made anew, elsewhere.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { asOwnerOfPlace } from '../../shared/runtime/as-owner.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import {
  beginFolder,
  finishFolder,
  isThere,
  putPrivate,
  readPrivate,
  readPrivateBytes,
  unfinished,
} from '../../shared/runtime/private-folder.ts'
import { fingerprint, newKeyPair, pemOf, spkiOf } from '../../shared/runtime/public-keys.ts'
import type { KeyFile } from '../core/backup.ts'
import { type Authority, certifyAuthority, certifyClient, certifyServer } from './certificates.ts'
import { newSealKey, SEAL_KEY } from './seal-key.ts'

export interface FleetKeys {
  readonly authority: Authority
  /** SHA-256 of the authority's public key: tokens carry it. */
  readonly pin: Uint8Array
  /** Shown to agents. */
  readonly agents: Certified
  /** The gateway's own, as a client of itself (mqtt-probe.ts). */
  readonly probe: Certified
}

/** PEM. */
export interface Certified {
  readonly key: string
  readonly certificate: string
}

const AUTHORITY_KEY = 'ca.key'
const AUTHORITY = 'ca.crt'
const AGENTS_KEY = 'agents.key'
const AGENTS = 'agents.crt'
const PROBE_KEY = 'probe.key'
const PROBE = 'probe.crt'
const FILES = [AUTHORITY_KEY, AUTHORITY, AGENTS_KEY, AGENTS, PROBE_KEY, PROBE]
/** Its key is known, whatever its certificate says. */
const PROBE_NAMES = { name: 'probe', uri: 'urn:obelisk:gateway:probe' }

/** Makes them, for the owner of the data where root does; resolves once all are on disk. There must be none. */
export async function makeFleetKeys(path: string): Promise<FleetKeys> {
  const own = newKeyPair()
  const certificate = await certifyAuthority(own.privateKey, own.publicKey)
  const authority = { privateKey: own.privateKey, certificate }
  const agents = newKeyPair()
  const names = { names: [GATEWAY_SERVER_NAME] }
  const shown = await certifyServer(authority, agents.publicKey, names)
  const probe = newKeyPair()
  const probing = await certifyClient(authority, spkiOf(probe.publicKey), PROBE_NAMES)
  return await asOwnerOfPlace(path, (folder) => {
    // Of one that was cut off nobody has seen anything.
    rmSync(unfinished(folder), { recursive: true, force: true })
    beginFolder(folder)
    putPrivate(folder, AUTHORITY_KEY, pemOf(own))
    putPrivate(folder, AUTHORITY, certificate)
    putPrivate(folder, AGENTS_KEY, pemOf(agents))
    putPrivate(folder, AGENTS, shown)
    putPrivate(folder, PROBE_KEY, pemOf(probe))
    putPrivate(folder, PROBE, probing)
    putPrivate(folder, SEAL_KEY, newSealKey())
    finishFolder(folder)
    return loadFleetKeys(folder)!
  })
}

/** What a backup has of the folder: what cannot be made anew without each board being told. */
export function readKeyFiles(folder: string): KeyFile[] {
  const files: KeyFile[] = []
  for (const name of [...FILES, SEAL_KEY]) {
    const bytes = readPrivateBytes(join(folder, name))
    if (bytes !== undefined) files.push({ name, bytes })
    else if (name !== SEAL_KEY) throw broken(folder, `${name} is missing`)
  }
  return files
}

/** Puts them into the unfinished folder. False if there is one that this version does not know. */
export function putKeyFiles(folder: string, files: readonly KeyFile[]): boolean {
  if (!files.every(({ name }) => [...FILES, SEAL_KEY].includes(name))) return false
  for (const { name, bytes } of files) putPrivate(folder, name, bytes)
  return true
}

/** Nothing if the gateway is not secured. Fails with `security-broken` if what is there is not whole. */
export function loadFleetKeys(folder: string): FleetKeys | undefined {
  if (!isThere(folder)) return undefined
  const read = (name: string): string => {
    const text = readPrivate(join(folder, name))
    if (text === undefined) throw broken(folder, `${name} is missing`)
    return text
  }
  const [authorityKey, certificate] = [read(AUTHORITY_KEY), read(AUTHORITY)]
  const agents = { key: read(AGENTS_KEY), certificate: read(AGENTS) }
  const probe = { key: read(PROBE_KEY), certificate: read(PROBE) }
  try {
    const privateKey = createPrivateKey(authorityKey)
    const authority = new X509Certificate(certificate)
    const isOwn = ({ key, certificate }: Certified): boolean => {
      const leaf = new X509Certificate(certificate)
      return leaf.checkPrivateKey(createPrivateKey(key)) && leaf.verify(authority.publicKey)
    }
    if (authority.checkPrivateKey(privateKey) && isOwn(agents) && isOwn(probe)) {
      const pin = fingerprint(spkiOf(authority.publicKey))
      return { authority: { privateKey, certificate }, pin, agents, probe }
    }
  } catch (error) {
    throw broken(folder, 'a file is no key or certificate', error)
  }
  throw broken(folder, 'keys and certificates do not belong together')
}

function broken(folder: string, why: string, cause?: unknown): AppError {
  const message = `${folder}: ${why}; restore it from a backup`
  return new AppError('security-broken', message, { cause, exitCode: EXIT_CONFIG })
}
