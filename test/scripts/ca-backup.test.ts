/** Where `ca backup` writes, and where it does not. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { backup } from '../../scripts/commands/ca.ts'
import { sealFile } from '../../shared/runtime/sealed-file.ts'
import { quickly } from '../support/quick-derivation.ts'

const PASSPHRASE = 'correct horse battery'
const HEAD = { ts: Date.UTC(2026, 10, 20), pin: 'a'.repeat(52) }
const sealed = Buffer.from(await sealFile(HEAD, PASSPHRASE, [Buffer.from('keys')], quickly))

/** A gateway that gives a backup. */
class FakeGateway {
  readonly paths: string[] = []

  readonly address = 'unix:/gateway'

  isDeaf = false

  async request({ path }: { readonly path: string }) {
    this.paths.push(path)
    if (this.isDeaf && path.endsWith('/kept')) throw new Error('gone')
    return { status: 200, body: sealed, headers: {}, contentType: '' }
  }
}

class Asking {
  readonly folder: string
  readonly gateway = new FakeGateway()
  said = ''

  constructor(t: Test) {
    this.folder = t.testdir({ passphrase: PASSPHRASE })
  }

  at(name: string): string {
    return join(this.folder, name)
  }

  async ask(path: string, flags: { readonly force?: boolean } = {}): Promise<number> {
    const output = { write: (text: string | Uint8Array) => (this.said += String(text)) }
    const streams = { stdout: output, stderr: output, stdin: new PassThrough(), environment: {} }
    const given = { passphraseFile: this.at('passphrase'), ...flags }
    return await backup({ gateway: this.gateway, streams, flags: given } as never, path, quickly)
  }
}

t.test('a backup takes the place of a file, and of nothing else', async (t) => {
  const asking = new Asking(t)
  const file = asking.at('keys')
  writeFileSync(`${file}.new`, 'of the person')
  t.equal(await asking.ask(file), 0)
  t.same(readFileSync(file), sealed)
  t.equal(statSync(file).mode & 0o777, 0o600)
  await t.rejects(asking.ask(file), { code: 'file-exists', exitCode: 77 })
  t.equal(await asking.ask(file, { force: true }), 0)
  t.equal(readFileSync(`${file}.new`, 'utf8'), 'of the person')

  const link = asking.at('link')
  symlinkSync(asking.at('nowhere'), link)
  const folder = asking.at('folder')
  mkdirSync(folder)
  const pipe = asking.at('pipe')
  execFileSync('mkfifo', [pipe])
  const others = [link, folder, pipe]
  // What /dev/full is, in a place of our own.
  const device = asking.at('device')
  if (process.geteuid!() === 0) {
    execFileSync('mknod', [device, 'c', '1', '7'])
    others.push(device)
  }
  const before = asking.gateway.paths.length
  for (const path of others) {
    const mode = lstatSync(path).mode
    for (const force of [true, false]) {
      await t.rejects(asking.ask(path, { force }), { code: 'not-a-file', exitCode: 77 }, path)
    }
    t.equal(lstatSync(path).mode, mode, `${path} is what it was`)
  }
  t.notOk(existsSync(asking.at('nowhere')))
  t.equal(asking.gateway.paths.length, before, 'nobody was asked for one')
  t.same(
    readdirSync(asking.folder).filter((name) => name.startsWith('.')),
    [],
  )
})

t.test('the gateway hears of a backup that is kept, and of no other', async (t) => {
  const asking = new Asking(t)
  const file = asking.at('keys')
  t.equal(await asking.ask(file), 0)
  const [given, kept] = ['/api/security/backup', '/api/security/backup/kept']
  t.same(asking.gateway.paths, [given, kept])
  // What cannot be written over comes in the way only after the look at it.
  const request = asking.gateway.request.bind(asking.gateway)
  asking.gateway.request = async (order) => {
    if (order.path === given) mkdirSync(asking.at('late'))
    return await request(order)
  }
  await t.rejects(asking.ask(asking.at('late')))
  t.same(asking.gateway.paths, [given, kept, given])
  asking.gateway.request = request
  asking.gateway.isDeaf = true
  t.equal(await asking.ask(asking.at('again')), 0)
  t.match(asking.said, /the gateway does not know that: gone/)
})
