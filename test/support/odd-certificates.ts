/** Certificates that no gateway makes: by the library that a gateway has, as anybody could. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { Authority } from '../../broker/adapters/certificates.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const HOUR_MS = 3_600_000

type Keys = webcrypto.CryptoKeyPair

export interface Shown {
  /** Both PEM. */
  readonly key: string
  readonly cert: string
}

function provided(): typeof webcrypto.subtle {
  x509.cryptoProvider.set(webcrypto as unknown as Crypto)
  return webcrypto.subtle
}

const newKeys = async (): Promise<Keys> =>
  await provided().generateKey(ALGORITHM, true, ['sign', 'verify'])

async function pemOf({ privateKey }: Keys): Promise<string> {
  const bytes = await provided().exportKey('pkcs8', privateKey)
  return x509.PemConverter.encode(bytes, 'PRIVATE KEY')
}

interface Signing {
  readonly by: CryptoKey
  /** Its name, and its key as others know it. */
  readonly issuer: x509.X509Certificate
}

/** A client certificate of this node. */
async function certify(
  keys: Keys,
  name: string,
  signing: Signing | undefined,
  { fromTs, toTs }: { readonly fromTs: number; readonly toTs: number },
): Promise<string> {
  const subject = `CN=${name}`
  const made = await x509.X509CertificateGenerator.create({
    ...{ subject, issuer: signing?.issuer.subject ?? subject },
    ...{ publicKey: keys.publicKey, signingKey: signing?.by ?? keys.privateKey },
    ...{ notBefore: new Date(fromTs), notAfter: new Date(toTs), signingAlgorithm: ALGORITHM },
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: `urn:obelisk:node:${name}` },
      ]),
      ...(signing === undefined
        ? []
        : [await x509.AuthorityKeyIdentifierExtension.create(signing.issuer)]),
    ],
  })
  return `${made.toString('pem')}\n`
}

/** Signed by nobody but itself. */
export async function selfSigned(name: string): Promise<Shown> {
  const keys = await newKeys()
  const validity = { fromTs: 0, toTs: Date.now() + HOUR_MS }
  return { key: await pemOf(keys), cert: await certify(keys, name, undefined, validity) }
}

/** Names that authority as who signed it, which did not; it has expired, or it has not. */
export async function asIfSigned(
  { certificate }: Authority,
  name: string,
  isExpired: boolean,
): Promise<Shown> {
  const [keys, theirs] = [await newKeys(), await newKeys()]
  const signing = { by: theirs.privateKey, issuer: new x509.X509Certificate(certificate) }
  const toTs = Date.now() + (isExpired ? -HOUR_MS : HOUR_MS)
  return { key: await pemOf(keys), cert: await certify(keys, name, signing, { fromTs: 0, toTs }) }
}

/** Signed by that authority, as it never does: with an end, which has come. */
export async function expired(
  { certificate, privateKey }: Authority,
  name: string,
): Promise<Shown> {
  const keys = await newKeys()
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' })
  const by = await provided().importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign'])
  const signing = { by, issuer: new x509.X509Certificate(certificate) }
  const validity = { fromTs: 0, toTs: Date.now() - HOUR_MS }
  return { key: await pemOf(keys), cert: await certify(keys, name, signing, validity) }
}

/** A certificate with the name and the key of an authority, signed by somebody who has not that key. */
export async function forgedAuthority({ certificate }: Authority): Promise<string> {
  const theirs = await newKeys()
  const real = new x509.X509Certificate(certificate)
  const publicKey = await real.publicKey.export()
  const made = await x509.X509CertificateGenerator.create({
    ...{ subject: real.subject, issuer: real.subject, publicKey, signingKey: theirs.privateKey },
    ...{ notBefore: new Date(0), notAfter: new Date(Date.now() + HOUR_MS) },
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
  return `${made.toString('pem')}\n`
}
