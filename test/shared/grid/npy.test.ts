import t from 'tap'
import {
  NPY_HEAD_BYTES_MAX,
  type NpyReading,
  npyHead,
  readNpyHead,
  typeProblem,
} from '../../../shared/grid/npy.ts'

/** A head as numpy writes it, of any version. */
function head(text: string, version = 1): Buffer {
  const length = Buffer.alloc(version === 1 ? 2 : 4)
  if (version === 1) length.writeUInt16LE(text.length)
  else length.writeUInt32LE(text.length)
  const magic = Buffer.from('\x93NUMPY', 'latin1')
  return Buffer.concat([magic, Buffer.from([version, 0]), length, Buffer.from(text, 'latin1')])
}

const said = (descr: string, shape: string, order = 'False'): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`

function problemOf(reading: NpyReading): string {
  return reading.kind === 'problem' ? reading.problem : reading.kind
}

t.test('a head that is written is read again, and is none before its last byte', async (t) => {
  for (const type of ['u8', 'i32', 'f32', 'f64'] as const) {
    for (const [rows, columns] of [
      [1, 1],
      [24, 40],
      [999_999, 1_000_000],
    ] as const) {
      const bytes = npyHead(type, rows, columns)
      t.equal(bytes.length % 64, 0, 'the numbers are aligned')
      t.equal(bytes.at(-1), 0x0a)
      const whole = { kind: 'head', head: { type, rows, columns, bytes: bytes.length } }
      t.same(readNpyHead(bytes, 'f64'), whole)
      t.same(
        readNpyHead(Buffer.concat([bytes, bytes]), 'f64'),
        whole,
        'what follows is not looked at',
      )
      for (let cut = 0; cut < bytes.length; cut++) {
        if (readNpyHead(bytes.subarray(0, cut), 'f64').kind !== 'more')
          t.fail(`cut after ${cut} bytes`)
      }
    }
  }
})

t.test('heads of each version are read, with their members in any order', async (t) => {
  const text = "{'shape':(3,\n 5), 'fortran_order': False,'descr' : '<f4'}"
  for (const version of [1, 2, 3]) {
    const bytes = head(text, version)
    t.same(readNpyHead(bytes, 'f64'), {
      kind: 'head',
      head: { type: 'f32', rows: 3, columns: 5, bytes: bytes.length },
    })
    for (let cut = 0; cut < bytes.length; cut++) {
      t.equal(readNpyHead(bytes.subarray(0, cut), 'f64').kind, 'more')
    }
  }
  // A part of a larger buffer, at an odd place.
  const inner = Buffer.concat([Buffer.from([7]), head(text, 2)]).subarray(1)
  t.match(readNpyHead(inner, 'f64'), { kind: 'head', head: { rows: 3 } })
})

t.test('what is no plain table of numbers is said', async (t) => {
  const cases: [Buffer, RegExp][] = [
    [Buffer.from('1,2,3\n'), /is no \.npy file/],
    [Buffer.from('\x93NUMPX', 'latin1'), /is no \.npy file/],
    [head(said('>f8', '(2, 3)')), /big-endian \(">f8"\): a\.astype\("<f8"\)/],
    [head(said('<f8', '(2, 3)', 'True')), /Fortran order/],
    [head(said('<c16', '(2, 3)')), /"<c16", which is none of \|u1.*<f8$/],
    [head(said('|b1', '(2, 3)')), /"\|b1".*: a\.astype\("<f8"\)$/],
    [head(said('<i8', '(2, 3)')), /"<i8".*: a\.astype\("<f8"\)$/],
    [head(said('<f2', '(2, 3)')), /"<f2".*: a\.astype\("<f8"\)$/],
    [head(said('=f4', '(2, 3)')), /"=f4".*: a\.astype\("<f8"\)$/],
    [head(said('', '(2, 3)')), /are "", which/],
    [head(said('x'.repeat(500), '(2, 3)')), /are "x{32}", which/],
    [head(said('<f4', '()')), /its shape is \(\), and not rows and columns/],
    [head(said('<f4', '(6,)')), /its shape is \(6,\)/],
    [head(said('<f4', '(1, 2, 3)')), /its shape is \(1, 2, 3\)/],
    [head(said('<f4', '(0, 3)')), /its shape is \(0, 3\)/],
    [head(said('<f4', '(2, 0)')), /its shape is \(2, 0\)/],
    [head(said('<f4', '(2, 3 4)')), /its shape is \(2, 3 4\)/],
    [head(said('<f4', `(${'9'.repeat(400)}, 3)`)), /its shape is \(9{64}\)/],
    [head(said('<f4', '(-2, 3)')), /does not say type, order and shape/],
    [head("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}"), /does not say/],
    [head("{'descr': '<f4', 'shape': (2, 3)}"), /does not say/],
    [head('{}'), /does not say/],
    [head(' '.repeat(NPY_HEAD_BYTES_MAX - 9)), /has 4087 bytes: it is no plain table/],
    [head(' '.repeat(NPY_HEAD_BYTES_MAX), 2), /has 4096 bytes/],
    [head('', 4), /of version 4/],
    [head('', 0), /of version 0/],
  ]
  for (const [bytes, problem] of cases) t.match(problemOf(readNpyHead(bytes, 'f64')), problem)
})

t.test('a field takes the types that it holds as they are, and no others', async (t) => {
  t.equal(typeProblem('u16', 'i32'), undefined)
  t.equal(typeProblem('i32', 'f64'), undefined)
  t.equal(
    typeProblem('f64', 'f32'),
    'its numbers are "<f8", and a field of f32 holds "|u1", "|i1", "<i2", "<u2", "<f4" as they are: a.astype("<f4")',
  )
  for (const [type, field] of [
    ['i8', 'u8'],
    ['u32', 'i32'],
    ['i32', 'f32'],
    ['f32', 'i32'],
  ] as const) {
    t.match(typeProblem(type, field), /as they are/, `${type} in ${field}`)
  }
})
