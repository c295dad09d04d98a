import t from 'tap'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { JSON_MIRROR_BYTES_MAX } from '../../../shared/protocol/limits.ts'
import { mirrorOf } from '../../../shared/protocol/result-mirror.ts'

const TASK = { id: 'task_001', op: 'get', state: 'completed' } as const
const LINK = { ...TASK, href: '/api/tasks/task_001/result' }

function mirror(value: unknown): unknown {
  return JSON.parse(mirrorOf(TASK, encodeCbor({ ...TASK, value })))
}

t.test('a mirror is the result, with bytes as base64', async (t) => {
  t.same(mirror({ mean: 1.5 }), { ...TASK, value: { mean: 1.5 } })
  const names = '{"__proto__":"a","__proto_":"b","constructor":"c","toJSON":"d"}'
  t.equal(JSON.stringify((mirror(JSON.parse(names)) as { value: unknown }).value), names)
  t.same(mirror(Buffer.from([1, 2, 255])), { ...TASK, value: 'AQL/' })
})

t.test('a mirror that would pass 64 KiB says where the whole is', async (t) => {
  const head = JSON.stringify({ ...TASK, value: '' }).length
  const fits = 'x'.repeat(JSON_MIRROR_BYTES_MAX - head)
  t.same(mirror(fits), { ...TASK, value: fits }, 'the last byte still fits')
  t.same(mirror(`${fits}x`), LINK)
  t.same(mirror('é'.repeat(JSON_MIRROR_BYTES_MAX / 2)), LINK, 'bytes count, not characters')
  t.same(mirror(new Uint8Array(5 * JSON_MIRROR_BYTES_MAX)), LINK, 'far larger is not even decoded')
})

t.test('a mirror has nothing of what is sealed', async (t) => {
  const sealed = {
    head: Buffer.of(1),
    kem: Buffer.of(2),
    body: Buffer.alloc(1000),
    sig: Buffer.of(3),
  }
  t.same(JSON.parse(mirrorOf(TASK, encodeCbor({ ...TASK, lsus: 4, sealed }))), { ...TASK, lsus: 4 })
  const large = { ...sealed, body: Buffer.alloc(5 * JSON_MIRROR_BYTES_MAX) }
  t.same(JSON.parse(mirrorOf(TASK, encodeCbor({ ...TASK, sealed: large }))), LINK)
})
