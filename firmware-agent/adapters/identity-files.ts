/**
 * What a board is known by, beside its store: its key, the certificate, and that of the authority. The key is on disk
 * before it is sent to anybody, so that after a cut the same key asks again; the folder has its place once all of
 * it is there. Its PEM is what TLS takes.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { NodeId } from '../../shared/core/ids.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import {
  beginFolder,
  finishFolder,
  isThere,
  putPrivate,
  readPrivate,
  unfinished,
} from '../../shared/runtime/private-folder.ts'
import { type KeyPair, newKeyPair } from '../../shared/runtime/public-keys.ts'
import type { Enrolled } from './enrolment-client.ts'

/** PEM. */
export interface Identity extends Enrolled {
  readonly key: string
}

const KEY = 'key.pem'
const CERTIFICATE = 'cert.pem'
const AUTHORITY = 'ca.pem'

/** Nothing if the board has none yet. Fails with `identity-broken` if it is not whole, or not this node's. */
export function loadIdentity(folder: string, node: NodeId): Identity | undefined {
  if (!isThere(folder)) return undefined
  const [key, certificate, ca] = [KEY, CERTIFICATE, AUTHORITY].map((name) =>
    readPrivate(join(folder, name)),
  )
  if (key === undefined || certificate === undefined || ca === undefined) {
    throw broken(folder, 'a file is missing')
  }
  let why: string | undefined
  try {
    const given = new X509Certificate(certificate)
    if (!given.checkPrivateKey(createPrivateKey(key))) why = 'its certificate is of another key'
    else if (!given.verify(new X509Certificate(ca).publicKey)) why = 'its authority did not sign it'
    else if (given.subjectAltName !== `URI:urn:obelisk:node:${node}`) {
      why = `it is that of ${given.subjectAltName?.slice(0, 128)}, and this is node ${node}`
    }
  } catch (error) {
    throw broken(folder, 'a file is none of it', error)
  }
  if (why !== undefined) throw broken(folder, why)
  return { key, certificate, ca }
}

/** The key to enrol with: that of before, if an enrolment was cut off. Returns once it is on disk. */
export function keyToEnrol(folder: string): KeyPair {
  // Also where the key is there: what the process before it did may not have come to the disk.
  beginFolder(folder)
  const before = keyIn(readPrivate(join(unfinished(folder), KEY)))
  if (before !== undefined) return before
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
  finishFolder(folder)
  return { key: pemOf(pair), certificate, ca }
}

function pemOf({ privateKey }: KeyPair): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function broken(folder: string, why: string, cause?: unknown): AppError {
  const message = `${folder}: ${why}; enrol again with a new token`
  return new AppError('identity-broken', message, { cause, exitCode: EXIT_CONFIG })
}
