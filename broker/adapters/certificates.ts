/**
 * The certificates that the gateway makes: of its authority, of itself, and of nodes. The library is loaded when
 * the first one is made, which few starts need. Each is read back by OpenSSL before it leaves here.
 *
 * What boards check and show has no end [RFC 5280 §4.1.2.5]: they may have been off for a year, or have no
 * clock. A right ends in the registry, not by time.
 */
import { type KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { NodeId } from '../../shared/core/ids.ts'
import { nodeUri } from '../../shared/protocol/enrolment.ts'
import { AppError, EXIT_SOFTWARE } from '../../shared/runtime/errors.ts'
import { fingerprintText, spkiOf } from '../../shared/runtime/public-keys.ts'

/** Who signs: the fleet's own authority. */
export interface Authority {
  readonly privateKey: KeyObject
  /** PEM. */
  readonly certificate: string
}

export interface ServerNames {
  /** Host names and IP addresses. */
  readonly names: readonly string[]
  /** Left out: without bounds. */
  readonly validity?: Validity
}

export interface Validity {
  /** Unix ms. */
  readonly fromTs: number
  readonly toTs: number
}

const WITHOUT_BOUNDS: Validity = { fromTs: 0, toTs: Date.UTC(9999, 11, 31, 23, 59, 59) }
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const SERIAL_BYTES = 16

/** The certificate of an authority, signed by itself. PEM. */
export async function certifyAuthority(
  privateKey: KeyObject,
  publicKey: KeyObject,
): Promise<string> {
  const x509 = await library()
  const spki = spkiOf(publicKey)
  const name = `CN=Obelisk fleet ${fingerprintText(spki).slice(0, 16)}`
  const keys = { privateKey: await signer(privateKey), publicKey: await verifier(spki) }
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    ...boundsOf(WITHOUT_BOUNDS),
    serialNumber: serial(),
    name,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return readBack(made.toString('pem'), spki, made.toString('pem'), [])
}

/** Of the gateway itself, for TLS as a server. PEM. */
export async function certifyServer(
  authority: Authority,
  publicKey: KeyObject,
  { names, validity = WITHOUT_BOUNDS }: ServerNames,
): Promise<string> {
  const alternatives = names.map((value) => ({
    type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
    value,
  }))
  return await certify(authority, spkiOf(publicKey), {
    subject: names[0]!,
    usage: SERVER_AUTH,
    validity,
    alternatives,
  })
}

/** Of a node, whose key is `spki`. PEM. */
export async function certifyNode(
  authority: Authority,
  spki: Uint8Array,
  node: NodeId,
): Promise<string> {
  return await certifyClient(authority, spki, { name: node, uri: nodeUri(node) })
}

/** Of a user, whose key is `spki`. PEM. */
export async function certifyUser(
  authority: Authority,
  spki: Uint8Array,
  name: string,
): Promise<string> {
  return await certifyClient(authority, spki, { name, uri: `urn:obelisk:user:${name}` })
}

/** Of whoever connects to the gateway with the key `spki`. PEM. */
export async function certifyClient(
  authority: Authority,
  spki: Uint8Array,
  { name, uri }: { readonly name: string; readonly uri: string },
): Promise<string> {
  return await certify(authority, spki, {
    subject: name,
    usage: CLIENT_AUTH,
    validity: WITHOUT_BOUNDS,
    alternatives: [{ type: 'url', value: uri }],
  })
}

interface Wishes {
  readonly subject: string
  readonly usage: string
  readonly validity: Validity
  readonly alternatives: readonly { type: 'dns' | 'ip' | 'url'; value: string }[]
}

async function certify(
  authority: Authority,
  spki: Uint8Array,
  { subject, usage, validity, alternatives }: Wishes,
): Promise<string> {
  const x509 = await library()
  const issuer = new x509.X509Certificate(authority.certificate)
  const publicKey = await verifier(spki)
  const made = await x509.X509CertificateGenerator.create({
    ...boundsOf(validity),
    serialNumber: serial(),
    // As a list of attributes nothing in a name is read as more of them.
    subject: [{ CN: [subject] }],
    issuer: issuer.subject,
    publicKey,
    signingKey: await signer(authority.privateKey),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      new x509.SubjectAlternativeNameExtension([...alternatives]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export()),
    ],
  })
  const names = alternatives.map(({ value }) => value)
  return readBack(made.toString('pem'), spki, authority.certificate, names)
}

/** Fails unless OpenSSL finds in the certificate what was asked for. */
function readBack(
  pem: string,
  spki: Uint8Array,
  issuerPem: string,
  names: readonly string[],
): string {
  const found = new X509Certificate(pem)
  const issuer = new X509Certificate(issuerPem)
  const alternatives = found.subjectAltName?.split(', ') ?? []
  const isNamed = (name: string): boolean => {
    if (isIP(name) > 0) return found.checkIP(name) !== undefined
    return alternatives.includes(`${name.startsWith('urn:') ? 'URI' : 'DNS'}:${name}`)
  }
  const isSound =
    found.checkIssued(issuer) &&
    found.verify(issuer.publicKey) &&
    Buffer.from(spki).equals(spkiOf(found.publicKey)) &&
    alternatives.length === names.length &&
    names.every(isNamed)
  if (isSound) return `${pem.trimEnd()}\n`
  const message = 'a certificate that was made is not what was asked for'
  throw new AppError('certificate-failed', message, { exitCode: EXIT_SOFTWARE })
}

function boundsOf({ fromTs, toTs }: Validity): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(fromTs), notAfter: new Date(toTs) }
}

/** 126 random bits that are a positive number of 16 bytes [RFC 5280 §4.1.2.2]. */
function serial(): string {
  const bytes = randomBytes(SERIAL_BYTES)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

async function signer(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' })
  return await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
}

async function verifier(spki: Uint8Array): Promise<webcrypto.CryptoKey> {
  return await webcrypto.subtle.importKey('spki', Buffer.from(spki), ALGORITHM, true, ['verify'])
}

let loading: Promise<typeof import('@peculiar/x509')> | undefined

async function library(): Promise<typeof import('@peculiar/x509')> {
  loading ??= import('reflect-metadata').then(async () => {
    const x509 = await import('@peculiar/x509')
    x509.cryptoProvider.set(webcrypto as unknown as Crypto)
    return x509
  })
  // Another time there may be file descriptors again.
  loading.catch(() => {
    loading = undefined
  })
  return await loading
}
