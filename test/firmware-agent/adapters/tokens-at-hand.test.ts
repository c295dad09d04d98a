/** Which token a board looks at: its first one, or one that says that its fleet has other keys now. */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { certifyNode } from '../../../broker/adapters/certificates.ts'
import {
  comeByIdentity,
  type EnrolmentConfig,
  tokenAtHand,
  tokenOfOtherFleet,
} from '../../../firmware-agent/adapters/enrolment.ts'
import { keepIdentity, keyToEnrol } from '../../../firmware-agent/adapters/identity-files.ts'
import { OwnIdentity } from '../../../firmware-agent/adapters/own-identity.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { formatToken } from '../../../shared/protocol/tokens.ts'
import { spkiOf } from '../../../shared/runtime/public-keys.ts'
import { type NewAuthority, newAuthority } from '../../support/certified.ts'
import { shortDirectory } from '../../support/short-directory.ts'

const n1 = 'n1' as NodeId

interface Board {
  readonly config: EnrolmentConfig
  readonly own: OwnIdentity
  /** On the boot partition. */
  readonly boot: readonly string[]
  readonly authority: NewAuthority
}

async function board(t: Test): Promise<Board> {
  const directory = shortDirectory()
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const identity = join(directory, 'identity')
  const authority = await newAuthority()
  const pair = keyToEnrol(identity)
  const certificate = await certifyNode(authority, spkiOf(pair.publicKey), n1)
  keepIdentity(identity, pair, { certificate, ca: authority.certificate })
  return {
    config: { url: 'mqtts://gw', identity, enrollTokenFile: undefined },
    own: OwnIdentity.load(identity, n1)!,
    boot: ['first', 'second'].map((name) => join(directory, name)),
    authority,
  }
}

const tokenFor = (pin: Uint8Array): string =>
  formatToken({ kind: 'node', id: 'abcdefgh', secret: randomBytes(16), pin })

t.test('a token of another fleet is taken, from the card too', async (t) => {
  const { config, own, boot, authority } = await board(t)
  const look = () => tokenOfOtherFleet(config, {}, own, boot)
  t.equal(look(), undefined)
  writeFileSync(boot[1]!, `${tokenFor(authority.pin)}\n`)
  t.equal(look(), undefined, 'that of its own fleet it does not need')
  const { pin } = await newAuthority()
  writeFileSync(boot[1]!, `${tokenFor(pin)}\r\n`)
  t.match(look(), { pin: Buffer.from(pin) })
  t.equal(tokenOfOtherFleet({ ...config, url: 'mqtt://127.0.0.1' }, {}, own, boot), undefined)
  for (const nonsense of ['', 'nonsense', 'x'.repeat(1e6)]) {
    writeFileSync(boot[0]!, nonsense)
    if (nonsense !== '') t.equal(look(), undefined, 'whatever it is')
  }
})

t.test('a token that is not needed is named, for the unit to remove, and no other', async (t) => {
  const { config, authority } = await board(t)
  const [file, named] = [`${config.identity}-given`, join(config.identity, '../spent-token')]
  // Refused at once: another fleet, over a port that nobody listens on, until it is told to stop.
  const running = {
    ...{ log: { info() {}, warn() {}, error() {}, debug() {} }, notify: { tell() {} } },
    shutdown: { add: (_name: string, stop: () => void) => stop() },
  } as unknown as Parameters<typeof comeByIdentity>[0]['running']
  const pace = { backoff: { baseMs: 1, capMs: 1 }, random: { unit: () => 0 } as never }
  const come = async (token: string) => {
    writeFileSync(file, token)
    const wish = { ...config, enrollTokenFile: file }
    const found = await comeByIdentity({ config: wish, node: n1, environment: {}, running, pace })
    t.ok(found)
  }
  for (const token of ['nonsense', tokenFor(randomBytes(32))]) {
    await come(token)
    t.notOk(existsSync(named), 'one of another fleet may be of use at the next start')
  }
  await come(tokenFor(authority.pin))
  t.equal(readFileSync(named, 'utf8'), 'obk1-abcdefgh-\n')
})

t.test('a first token may lie on the card, behind the one that was given', async (t) => {
  const { config, boot } = await board(t)
  const [first, second] = [tokenFor(randomBytes(32)), tokenFor(randomBytes(32))]
  const given = `${boot[1]}-given`
  writeFileSync(boot[1]!, first)
  const pinOf = (enrollTokenFile?: string) =>
    tokenAtHand({ ...config, enrollTokenFile }, {}, boot)?.pin.toString()
  writeFileSync(given, second)
  t.ok(pinOf() !== undefined && pinOf() !== pinOf(given))
  rmSync(boot[1]!)
  t.equal(pinOf(), undefined)
  t.ok(pinOf(given))
  for (const [port, taken] of [
    ['', 8883],
    [':1883', 8883],
    [':8883', 8883],
    [':9000', 9000],
  ]) {
    const inClear = { ...config, url: `mqtt://gw.local${port}`, enrollTokenFile: given }
    const message = `a token is shown over mqtts:// alone: --url mqtts://gw.local:${taken}`
    t.throws(() => tokenAtHand(inClear, {}, boot), { code: 'url-not-secure', message })
  }
})
