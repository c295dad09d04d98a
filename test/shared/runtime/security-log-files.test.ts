import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { NO_HEAD, type SecurityHead } from '../../../shared/protocol/security-log.ts'
import {
  nameOf,
  readSecurityLog,
  verifySecurityLog,
} from '../../../shared/runtime/security-log-files.ts'
import { checkAsync } from '../../support/property.ts'
import { contentOf, pathsOf, writeLog } from '../../support/security-logs.ts'

/** A log in three files, and one of which the oldest files are gone. */
const WHOLE = join(t.testdir(), 'whole')
const GONE = join(t.testdirName, 'gone')
const heads = new Map([
  [WHOLE, await writeLog(WHOLE, { grants: 15 })],
  [GONE, await writeLog(GONE, { grants: 90 })],
])

/** Each line of the log, the oldest first, with its line end. */
function allLines(folder: string): { path: string; lines: string[] }[] {
  return pathsOf(folder).map((path) => {
    const text = readFileSync(path, 'utf8')
    return { path, lines: text.match(/[^\n]*\n|[^\n]+$/g) ?? [] }
  })
}

let copies = 0

/** A copy of a log, with all its files. */
function copyOf(folder: string): string {
  const copy = join(t.testdirName, `copy-${copies++}`)
  mkdirSync(copy)
  for (const path of pathsOf(folder)) copyFileSync(path, join(copy, basename(path)))
  return copy
}

function put(files: readonly { path: string; lines: readonly string[] }[]): void {
  for (const { path, lines } of files) writeFileSync(path, lines.join(''))
}

t.test('a log that nobody touched is whole', async (t) => {
  for (const [folder, head] of heads) {
    for (const expected of [undefined, head, NO_HEAD]) {
      const report = await verifySecurityLog(folder, expected)
      t.match(report, { isWhole: true, faults: [], tornBytes: 0, head })
    }
    t.equal(pathsOf(folder).length, folder === WHOLE ? 3 : 10)
  }
  t.equal((await verifySecurityLog(GONE)).firstSeq! > 1, true)
})

t.test('a write that failed may be cut back while the log is read', async (t) => {
  const folder = copyOf(WHOLE)
  const newest = join(folder, 'security.jsonl')
  const { size } = statSync(newest)
  appendFileSync(newest, 'a part of a line')
  // Lines of the older files are read first: by then it is known how long the newest is.
  const onLine = () => truncateSync(newest, size)
  const report = await readSecurityLog(folder, heads.get(WHOLE), { onLine })
  t.match(report, { isWhole: true, head: heads.get(WHOLE) })
})

t.test('a head that was kept at any time fits the log', async (t) => {
  const heads: SecurityHead[] = []
  for (const { lines } of allLines(GONE)) {
    for (const line of lines) {
      const { seq, prev } = JSON.parse(line) as { seq: number; prev: string }
      heads.push({ seq: seq - 1, hash: prev })
    }
  }
  for (const head of heads) t.ok((await verifySecurityLog(GONE, head)).isWhole, String(head.seq))
  const other = { ...heads.at(-1)!, hash: 'f'.repeat(32) }
  t.match(await verifySecurityLog(GONE, other), { faults: [{ kind: 'changed', seq: other.seq }] })
})

interface Place {
  readonly folder: string
  readonly at: number
  readonly by: number
}

const place: fc.Arbitrary<Place> = fc.record({
  folder: fc.constantFrom(WHOLE, GONE),
  at: fc.nat(),
  by: fc.nat(),
})

/** Changes a copy; whether the end of the log, of which only the head knows, was touched. */
const ATTEMPTS: Readonly<Record<string, (folder: string, place: Place) => boolean>> = {
  'a byte is changed': (folder, { at, by }) => {
    const files = pathsOf(folder).map((path) => ({ path, bytes: readFileSync(path) }))
    let offset = at % files.reduce((sum, { bytes }) => sum + bytes.length, 0)
    for (const { path, bytes } of files) {
      if (offset >= bytes.length) {
        offset -= bytes.length
        continue
      }
      bytes[offset] = (bytes[offset]! + 1 + (by % 255)) % 256
      writeFileSync(path, bytes)
      const isLast = path === files.at(-1)!.path
      const next = bytes.indexOf(0x0a, offset + 1)
      return isLast && (next === -1 || next === bytes.length - 1)
    }
    throw new Error('no byte was changed')
  },
  'a line is taken out': (folder, { at }) => {
    const files = allLines(folder)
    const index = at % files.length
    const { lines } = files[index]!
    const line = at % lines.length
    lines.splice(line, 1)
    put(files)
    return index === files.length - 1 && line === lines.length
  },
  'a line stands twice': (folder, { at, by }) => {
    const files = allLines(folder)
    const from = files[at % files.length]!.lines
    const to = files[by % files.length]!.lines
    to.splice(by % (to.length + 1), 0, from[at % from.length]!)
    put(files)
    return false
  },
  'two lines are swapped': (folder, { at, by }) => {
    const files = allLines(folder)
    const from = files[at % files.length]!.lines
    const to = files[by % files.length]!.lines
    const first = at % from.length
    const second =
      from === to && by % to.length === first ? (first + 1) % to.length : by % to.length
    const line = from[first]!
    from[first] = to[second]!
    to[second] = line
    put(files)
    return false
  },
  'a line is written anew': (folder, { at }) => {
    const files = allLines(folder)
    const index = at % files.length
    const { lines } = files[index]!
    const line = at % lines.length
    lines[line] = lines[line]!.replace(/"ts":\d+/, '"ts":1')
    put(files)
    return index === files.length - 1 && line === lines.length - 1
  },
  'the front of a file is cut off': (folder, { at, by }) => {
    const files = allLines(folder)
    const { lines } = files[at % files.length]!
    lines.splice(0, 1 + (by % (lines.length - 1)))
    put(files)
    return false
  },
  'the end of a file is cut off': (folder, { at, by }) => {
    const paths = pathsOf(folder)
    const index = at % paths.length
    const bytes = readFileSync(paths[index]!)
    writeFileSync(paths[index]!, bytes.subarray(0, by % bytes.length))
    return index === paths.length - 1 && by % bytes.length > bytes.indexOf(0x0a)
  },
  'a file is taken away': (folder, { at }) => {
    const paths = pathsOf(folder)
    rmSync(paths[at % paths.length]!)
    return false
  },
  'two files are swapped': (folder, { at }) => {
    const paths = pathsOf(folder)
    const index = at % (paths.length - 1)
    renameSync(paths[index]!, join(folder, 'aside'))
    renameSync(paths[index + 1]!, paths[index]!)
    renameSync(join(folder, 'aside'), paths[index + 1]!)
    return false
  },
  'a file of another name lies there': (folder, { at }) => {
    writeFileSync(join(folder, `security.jsonl.${10 + (at % 100)}`), '')
    return false
  },
}

for (const [name, attempt] of Object.entries(ATTEMPTS)) {
  t.test(`attempt 64: ${name}, and it is found`, async (t) => {
    const property = fc.asyncProperty(place, async (place) => {
      const copy = copyOf(place.folder)
      const isAtEnd = attempt(copy, place)
      const head = heads.get(place.folder)!
      const report = await verifySecurityLog(copy, head)
      if (report.isWhole) throw new Error('it was not found')
      const { isWhole, faults } = await verifySecurityLog(copy)
      if (isWhole && !isAtEnd) throw new Error('it was not found without the head')
      for (const { file, message } of faults) {
        if (!file.startsWith('security.jsonl') || message === '') throw new Error('it is not said')
      }
      rmSync(copy, { recursive: true })
    })
    await checkAsync(t, property, 30)
  })
}

t.test('attempt 64: what was done is said, with file, line and number', async (t) => {
  const change = async (act: (lines: string[]) => void) => {
    const copy = copyOf(WHOLE)
    const files = allLines(copy)
    act(files[1]!.lines)
    put(files)
    return await verifySecurityLog(copy, heads.get(WHOLE))
  }
  const [, { lines }] = allLines(WHOLE) as [unknown, { lines: string[] }]
  const { seq } = JSON.parse(lines[2]!) as { seq: number }
  const file = 'security.jsonl.1'
  t.match(await change((lines) => lines.splice(2, 1)), {
    faultCount: 1,
    faults: [
      { kind: 'missing', file, line: 3, seq: seq + 1, message: `before it, ${seq} is missing` },
    ],
  })
  const changed = await change((lines) => {
    lines[2] = lines[2]!.replace('192.168', '192.167')
  })
  t.match(changed, { faultCount: 1, faults: [{ kind: 'changed', file, line: 3, seq }] })
  const malformed = await change((lines) => {
    lines[2] = '\n'
  })
  t.match(malformed, { faultCount: 1, faults: [{ kind: 'malformed', file, line: 3 }] })
  const swapped = await change((lines) => lines.splice(2, 2, lines[3]!, lines[2]!))
  t.ok(swapped.faults.some(({ kind, line }) => kind === 'reordered' && line === 4))
  const long = await change((lines) => {
    lines[2] = `${'x'.repeat(200_000)}\n`
  })
  t.match(long, { faultCount: 1, faults: [{ kind: 'malformed', file, line: 3 }] })
  const cut = copyOf(WHOLE)
  const files = allLines(cut)
  files.at(-1)!.lines.pop()
  put(files)
  const { seq: last } = heads.get(WHOLE)!
  t.match(await verifySecurityLog(cut, heads.get(WHOLE)), {
    faults: [{ kind: 'cut', file: 'security.jsonl', seq: last }],
  })
  t.ok((await verifySecurityLog(cut)).isWhole, 'nothing but the head knows of the end')
})

t.test('very many faults are counted, and a few are kept', async (t) => {
  const copy = copyOf(WHOLE)
  writeFileSync(join(copy, 'security.jsonl'), 'x\n'.repeat(100_000))
  const { faultCount, faults } = await verifySecurityLog(copy)
  t.ok(faultCount >= 100_000)
  t.equal(faults.length, 100)
})

t.test(
  'a write that was cut off at the end is no fault, and nothing else is taken for one',
  async (t) => {
    const copy = copyOf(WHOLE)
    const path = join(copy, 'security.jsonl')
    const bytes = readFileSync(path)
    const head = heads.get(WHOLE)!
    const line = Buffer.from('{"seq":99,"ts":1,"event":"enrolled"')
    writeFileSync(path, Buffer.concat([bytes, line]))
    t.match(await verifySecurityLog(copy, head), { isWhole: true, tornBytes: line.length, head })
    // Some sectors of it are not there, and are zeros.
    const spoilt = Buffer.concat([bytes, Buffer.alloc(4096, 'y\n')])
    const sector = Math.ceil(bytes.length / 512) * 512
    spoilt.fill(0, sector + 512, sector + 1536)
    writeFileSync(path, spoilt)
    t.notOk((await verifySecurityLog(copy, head)).isWhole, 'what is there before them is no line')
    const zeros = Buffer.concat([
      bytes,
      Buffer.alloc(4096, 'y\n').fill(0, 0, sector - bytes.length),
    ])
    writeFileSync(path, zeros)
    t.match(await verifySecurityLog(copy, head), { isWhole: true, tornBytes: 4096 })
    // A file that was put aside is whole.
    writeFileSync(path, bytes)
    const older = join(copy, 'security.jsonl.1')
    writeFileSync(older, Buffer.concat([readFileSync(older), line]))
    t.match(await verifySecurityLog(copy, head), { faults: [{ file: 'security.jsonl.1' }] })
  },
)

t.test('where there is no log, the system says so', async (t) => {
  await t.rejects(verifySecurityLog(join(t.testdir(), 'none')), { code: 'ENOENT' })
  t.equal(contentOf(t.testdirName).size, 0)
})

t.test('files that are put aside while they are opened are taken in their order', async (t) => {
  const filesKept = 3
  const made = join(t.testdir(), 'made')
  const folder = join(t.testdirName, 'folder')
  mkdirSync(folder)
  const head = await writeLog(made, { grants: 100, fileBytesMax: 500, filesKept: 100 })
  const left = readdirSync(made).length
  t.ok(left > 40, `${left} files`)
  const name = (number: number): string => join(folder, nameOf(number))
  let next = left
  const putAside = (): void => {
    next -= 1
    for (let number = filesKept; number > 0; number--) {
      if (existsSync(name(number - 1))) renameSync(name(number - 1), name(number))
    }
    renameSync(join(made, nameOf(next)), name(0))
  }
  while (next > left - 4) putAside()
  // More often than a file is opened.
  const turn = (): void => {
    putAside()
    if (next > 0) setImmediate(turn)
  }
  setImmediate(turn)
  const report = await readSecurityLog(folder, head, { filesKept })
  t.match(report, { isWhole: true, faults: [], files: 4, head })
})

t.test('the newest file is waited for while it takes its place', async (t) => {
  const made = join(t.testdir(), 'made')
  const head = await writeLog(made, { grants: 100, fileBytesMax: 500, filesKept: 100 })
  const files = readdirSync(made).length
  const [place, next] = [join(made, nameOf(0)), join(t.testdirName, 'next')]
  renameSync(place, next)
  let turnsLeft = 20
  const turn = (): void => {
    turnsLeft -= 1
    if (turnsLeft > 0) setImmediate(turn)
    else renameSync(next, place)
  }
  setImmediate(turn)
  const report = await readSecurityLog(made, head, { filesKept: 100 })
  t.match(report, { isWhole: true, faults: [], files, head })
})
