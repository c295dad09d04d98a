/** What somebody may answer who is asked for the certificate of an authority, and is not known yet. */
import { createPublicKey, X509Certificate } from 'node:crypto'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { certifyNode } from '../../broker/adapters/certificates.ts'
import { pinnedAuthority } from '../../scripts/commands/pinned-authority.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { spkiOf } from '../../shared/runtime/public-keys.ts'
import { gatewayKeys, newAuthority } from '../support/certified.ts'

/** Over TLS with a certificate of nobody's trust. */
async function answering(t: Test, body: string | 'endless' | 'nothing'): Promise<URL> {
  const { key, certificate: cert } = await gatewayKeys(await newAuthority())
  const options: ServerOptions = { key, cert }
  const server = createServer(options, (request, response) => {
    t.equal(`${request.method} ${request.url}`, 'GET /ca.crt')
    t.equal(request.headers.authorization, undefined, 'nothing is said')
    if (body === 'nothing') response.destroy()
    else if (body === 'endless') {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
      }
      response.on('drain', more)
      more()
    } else response.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

t.test('the certificate of the pinned authority is taken, whoever brings it', async (t) => {
  const { certificate, pin } = await newAuthority()
  t.equal(await pinnedAuthority(await answering(t, certificate), pin), certificate)
})

t.test('nothing else is', async (t) => {
  const [authority, other] = [await newAuthority(), await newAuthority()]
  const ownKey = createPublicKey(
    new X509Certificate(authority.certificate).publicKey.export({ type: 'spki', format: 'pem' }),
  )
  const byOther = await certifyNode(other, spkiOf(ownKey), 'n1' as NodeId)
  const cases: readonly [name: string, body: string][] = [
    ['another authority', other.certificate],
    ['its key in a certificate of somebody else', byOther],
    ['another one first', `${other.certificate}${authority.certificate}`],
    ['no certificate', '<html>'],
    ['nothing at all', ''],
  ]
  for (const [name, body] of cases) {
    const url = await answering(t, body)
    await t.rejects(
      pinnedAuthority(url, authority.pin),
      { code: 'gateway-not-pinned', exitCode: 78 },
      name,
    )
  }
  for (const body of ['endless', 'nothing'] as const) {
    const url = await answering(t, body)
    await t.rejects(
      pinnedAuthority(url, authority.pin),
      { code: 'unreachable', exitCode: 69 },
      body,
    )
  }
})
