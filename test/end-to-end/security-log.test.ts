/** What a gateway that is killed knows afterwards of its security log. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { open } from 'lmdb'
import t from 'tap'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { databasePath } from '../../shared/runtime/lmdb.ts'
import { eventually } from '../support/processes.ts'
import { SecuredGateway } from '../support/secured-gateway.ts'

interface Line {
  readonly seq: number
  readonly event: string
  readonly code?: string
}

t.test('a line that is cut off is noticed after a kill, too, and none is doubled', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const path = join(gateway.data, 'security', 'security.jsonl')
  const lines = (): Line[] =>
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
  const store = open({
    path: databasePath(join(gateway.data, 'security', 'identities')),
    readOnly: true,
  })
  const meta = store.openDB({ name: 'meta', encoding: 'binary', keyEncoding: 'ordered-binary' })
  const keptHead = (): { readonly seq: number; readonly hash: string } => {
    const limits = { bytesMax: 4096, depthMax: 4, itemsMax: 16 }
    const decoded = decodeCbor(meta.getBinary('meta')!, limits)
    if (!decoded.ok) throw new Error(decoded.message)
    return (decoded.value as { head: { seq: number; hash: string } }).head
  }
  await gateway.done('token', 'create', 'n1')
  await gateway.done('node', 'revoke', 'n1')
  t.equal(lines().at(-1)!.event, 'node-revoked')
  await eventually('the end of the log is kept', () => keptHead().seq === lines().at(-1)!.seq)
  await store.close()
  t.ok(
    readFileSync(join(gateway.data, 'events.jsonl'), 'utf8').includes('"code":"security-head"'),
    'and was said where others may keep it',
  )
  await gateway.run.end('SIGKILL')
  const whole = readFileSync(path, 'utf8').trimEnd()
  writeFileSync(path, `${whole.slice(0, whole.lastIndexOf('\n'))}\n`)
  await gateway.startAgain()
  t.ok(lines().some(({ event, code }) => event === 'log-broken' && code === 'cut'))
  t.equal(lines().filter(({ event }) => event === 'secured').length, 1)
})
