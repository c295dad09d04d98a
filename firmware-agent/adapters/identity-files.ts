/**
 * What a board is known by, beside its store: its key, the certificate, and that of the authority. The key is on disk
 * before it is sent to anybody, so that after a cut the same key asks again; the folder has its place once all of
 * it is there. Its PEM is what TLS takes.
 *
 * A board that has an identity gets another in the same way: made in `.new`, put in its place, and the one
 * before kept in `.old` until the gateway has let the board in with the new one. Whatever is cut off when,
 * one of them is whole, and the next start goes on from there.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { NodeId } from '../../shared/core/ids.ts'
import { nodeUri } from '../../shared/protocol/enrolment.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import {
  beginFolder,
  bringBackFormer,
  forgetUnfinished,
  formerOf,
  isThere,
  putPrivate,
  readPrivate,
  replaceFolder,
  unfinished,
} from '../../shared/runtime/private-folder.ts'
import { type KeyPair, newKeyPair, pemOf } from '../../shared/runtime/public-keys.ts'

/** PEM. */
export interface Enrolled {
  readonly certificate: string
  readonly ca: string
}

/** PEM. */
export interface Identity extends Enrolled {
  readonly key: string
}

const KEY = 'key.pem'
const CERTIFICATE = 'cert.pem'
const AUTHORITY = 'ca.pem'
/** What the key in an unfinished folder was made for. */
const PURPOSE = 'purpose'

export interface OwnIdentities {
  readonly current: Identity
  /** That of before, as long as nobody has been let in with the current one. */
  readonly former?: Identity
}

/**
 * Nothing if the board has none yet. Finishes what was cut off when all was there: nobody has to be asked again.
 * Fails with `identity-broken` if it is not whole, or not this node's.
 */
export function loadIdentities(folder: string, node: NodeId): OwnIdentities | undefined {
  if (soundIn(unfinished(folder), node) !== undefined) replaceFolder(folder)
  const kept = soundIn(formerOf(folder), node)
  const isLeft = kept !== undefined && soundIn(folder, node) === undefined
  if (isLeft) bringBackFormer(folder)
  const current = readIdentity(folder, node)
  if (current === undefined) return undefined
  return kept === undefined || isLeft ? { current } : { current, former: kept }
}

/** Whether there is, or was to be, an identity; a damaged one counts. */
export function isBegun(folder: string): boolean {
  return [folder, unfinished(folder), formerOf(folder)].some(isThere)
}

/** As `loadIdentities`, and touches nothing: what is not in its place is none. */
export function readIdentity(folder: string, node: NodeId): Identity | undefined {
  if (!isThere(folder)) return undefined
  const identity = filesIn(folder)
  if (identity === undefined) throw broken(folder, 'a file is missing')
  const why = faultOf(identity, identity.key, node)
  if (why !== undefined) throw broken(folder, why)
  return identity
}

function soundIn(folder: string, node: NodeId): Identity | undefined {
  const identity = filesIn(folder)
  const isSound = identity !== undefined && faultOf(identity, identity.key, node) === undefined
  return isSound ? identity : undefined
}

/** Nothing if one is missing. */
function filesIn(folder: string): Identity | undefined {
  const [key, certificate, ca] = [KEY, CERTIFICATE, AUTHORITY].map((name) =>
    readPrivate(join(folder, name)),
  )
  if (key === undefined || certificate === undefined || ca === undefined) return undefined
  return { key, certificate, ca }
}

/** Why a certificate is of no use to this node with its key, PEM; nothing if it is. */
export function faultOf(
  { certificate, ca }: Enrolled,
  key: string,
  node: NodeId,
): string | undefined {
  try {
    const given = new X509Certificate(certificate)
    const authority = new X509Certificate(ca)
    const isSigned = given.checkIssued(authority) && given.verify(authority.publicKey)
    if (!given.checkPrivateKey(createPrivateKey(key))) return 'its certificate is of another key'
    if (!isSigned) return 'its authority did not sign it'
    if (given.subjectAltName === `URI:${nodeUri(node)}`) return undefined
    return `it is that of ${given.subjectAltName?.slice(0, 128)}, and this is node ${node}`
  } catch {
    return 'there is no key or certificate where one should be'
  }
}

/**
 * The key to ask with: that of before, if asking was cut off. With a purpose, that of another purpose is given up.
 * Returns once it is on disk.
 */
export function keyToEnrol(folder: string, purpose?: string): KeyPair {
  if (purpose !== undefined && readPrivate(join(unfinished(folder), PURPOSE)) !== purpose) {
    forgetUnfinished(folder)
  }
  // Also where the key is there: what the process before it did may not have come to the disk.
  beginFolder(folder)
  const before = keyIn(readPrivate(join(unfinished(folder), KEY)))
  if (before !== undefined) return before
  if (purpose !== undefined) putPrivate(folder, PURPOSE, purpose)
  const pair = newKeyPair()
  putPrivate(folder, KEY, pemOf(pair))
  return pair
}

/** Nothing if it is no key, as after damage: then it opens nothing, whoever took it. */
function keyIn(pem: string | undefined): KeyPair | undefined {
  if (pem === undefined) return undefined
  try {
    const privateKey = createPrivateKey(pem)
    return { privateKey, publicKey: createPublicKey(privateKey) }
  } catch {
    return undefined
  }
}

/** Returns once the identity has its place. */
export function keepIdentity(
  folder: string,
  pair: KeyPair,
  { certificate, ca }: Enrolled,
): Identity {
  putPrivate(folder, CERTIFICATE, certificate)
  putPrivate(folder, AUTHORITY, ca)
  replaceFolder(folder)
  return { key: pemOf(pair), certificate, ca }
}

function broken(folder: string, why: string): AppError {
  const message = `${folder}: ${why}; enrol again with a new token`
  return new AppError('identity-broken', message, { exitCode: EXIT_CONFIG })
}
