/** The files of a security log, as the gateway opens them and as the command reads and verifies them. */
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SecurityChain, type SecurityFault } from '../protocol/security-chain.ts'
import {
  NO_HEAD,
  parseLine,
  SECURITY_FILES_KEPT,
  SECURITY_LINE_BYTES_MAX,
  SECURITY_LOG_NAME,
  SECURITY_WRITE_BYTES_MAX,
  type SecurityHead,
  type SecurityLine,
} from '../protocol/security-log.ts'

const CHUNK_BYTES = 64 * 1024
const LINE_END = 0x0a
/** More of them say nothing more. */
const FAULTS_MAX = 100
/** A file of 10 MB is put aside in hours; only a test does it faster than one can read. */
const AGAIN_MAX = 20

export interface SecurityLogFile {
  readonly name: string
  /** 0 is the one that is written. */
  readonly number: number
  readonly file: FileHandle
  /** When it was opened: what is written since then is not looked at. */
  readonly size: number
}

export interface SecurityLogReport {
  readonly isWhole: boolean
  readonly files: number
  readonly lines: number
  readonly firstSeq?: number
  readonly head: SecurityHead
  /** What a write that was cut off left at the end. It was never told to anybody, and is no fault. */
  readonly tornBytes: number
  /** The first hundred. */
  readonly faults: readonly SecurityFault[]
  readonly faultCount: number
}

export interface VerifyOptions {
  readonly filesKept?: number
}

/**
 * Reads the whole log of a folder, and says all that is wrong with it. `expected` is a head that was kept
 * elsewhere; without one, nothing can be said of the end. Throws what the system says, ENOENT if there is none.
 */
export async function verifySecurityLog(
  folder: string,
  expected?: SecurityHead,
  options: VerifyOptions = {},
): Promise<SecurityLogReport> {
  let report = await readSecurityLog(folder, expected, options)
  // What a gateway caused that put a file aside meanwhile, or cut back a write that failed, is gone another time.
  for (let again = 0; !report.isWhole && again < AGAIN_MAX; again++) {
    const before = await newestOf(folder)
    report = await readSecurityLog(folder, expected, options)
    if (before === (await newestOf(folder))) break
  }
  return report
}

/** The file that is written, as the system knows it; nothing while another one takes its place. */
async function newestOf(folder: string): Promise<string | undefined> {
  try {
    const { ino, birthtimeNs } = await stat(join(folder, SECURITY_LOG_NAME), { bigint: true })
    // The number of a file that is gone is given to a later one.
    return `${ino} of ${birthtimeNs}`
  } catch {
    return undefined
  }
}

/** The same in one go, for which a gateway that writes may look like a fault; each line is handed on. */
export async function readSecurityLog(
  folder: string,
  expected: SecurityHead | undefined,
  options: VerifyOptions & LineReader,
): Promise<SecurityLogReport> {
  const { filesKept = SECURITY_FILES_KEPT } = options
  const files = await openSecurityLog(folder, filesKept)
  try {
    const walk = await walkFiles(files.toReversed(), { ...options, expected })
    const { chain, faults, lines, tornBytes } = walk
    for (const fault of await strangeFiles(folder, filesKept)) faults.add(fault)
    return {
      isWhole: faults.count === 0,
      files: files.length,
      lines,
      ...(chain.firstSeq === undefined ? {} : { firstSeq: chain.firstSeq }),
      head: chain.head,
      tornBytes,
      faults: faults.kept,
      faultCount: faults.count,
    }
  } finally {
    await closeAll(files)
  }
}

/**
 * Its files, the newest first; ENOENT if there is none. Files move to higher numbers only, so that none is missed
 * when the gateway puts one aside meanwhile. One that is gone before the last is opened may stand before newer ones,
 * and the newest may not have its place yet: then all are opened again.
 */
async function openSecurityLog(
  folder: string,
  filesKept = SECURITY_FILES_KEPT,
): Promise<SecurityLogFile[]> {
  for (let again = 0; ; again++) {
    const files = await openEach(folder, filesKept)
    const stats = await Promise.all(files.slice(0, -1).map(({ file }) => file.stat()))
    const isAll = files[0]!.number === 0 && stats.every(({ nlink }) => nlink > 0)
    if (isAll || again === AGAIN_MAX) return files
    await closeAll(files)
  }
}

/** What is met twice is taken once. */
async function openEach(folder: string, filesKept: number): Promise<SecurityLogFile[]> {
  const found = new Map<bigint, SecurityLogFile>()
  try {
    let missing: unknown
    for (let number = 0; number <= filesKept; number++) {
      const name = nameOf(number)
      let file: FileHandle
      try {
        file = await openFile(join(folder, name))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        missing = error
        continue
      }
      const { ino, size } = await file.stat({ bigint: true })
      await found.get(ino)?.file.close()
      // Taken anew, with what was written to it until it was put aside, so that it stands where its number says.
      found.delete(ino)
      found.set(ino, { name, number, file, size: Number(size) })
    }
    if (found.size === 0) throw missing
    return [...found.values()]
  } catch (error) {
    await closeAll([...found.values()])
    throw error
  }
}

/** Never waits for whoever made a pipe of this name. */
async function openFile(path: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new Error(`${path} is no file`)
}

async function closeAll(files: readonly SecurityLogFile[]): Promise<void> {
  await Promise.allSettled(files.map(({ file }) => file.close()))
}

export function nameOf(number: number): string {
  return number === 0 ? SECURITY_LOG_NAME : `${SECURITY_LOG_NAME}.${number}`
}

/** Where a file is made before it takes the place of the one that is put aside. */
export const NEXT_NAME = `${SECURITY_LOG_NAME}.next`

async function strangeFiles(folder: string, filesKept: number): Promise<SecurityFault[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(SECURITY_LOG_NAME)).sort()
  const known = Array.from({ length: filesKept + 1 }, (_, number) => nameOf(number))
  const faults: SecurityFault[] = names
    .filter((name) => name !== NEXT_NAME && !known.includes(name))
    .map((file) => ({ kind: 'file', file, message: 'is no file of the log' }))
  // While a file is put aside there is the next one.
  if (!names.includes(SECURITY_LOG_NAME) && !names.includes(NEXT_NAME)) {
    const message = 'is missing, and with it the newest lines'
    faults.push({ kind: 'missing', file: SECURITY_LOG_NAME, message })
  }
  return faults
}

/** What a gateway finds when it opens its log. */
export interface FoundLog {
  readonly head: SecurityHead
  /** Of the file that is written; nothing where there is none. */
  readonly wholeBytes?: number
  readonly tornBytes: number
  readonly isCut: boolean
  /** Places where it is not what was written. */
  readonly changed: number
}

/**
 * Looks at the newest file, and at those before it as far as the expected head lies back: a start does not wait for
 * the whole log. Throws what the system says.
 */
export async function findSecurityLog(
  folder: string,
  expected: SecurityHead | undefined,
  filesKept = SECURITY_FILES_KEPT,
): Promise<FoundLog> {
  let files: SecurityLogFile[]
  try {
    files = await openSecurityLog(folder, filesKept)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return { head: NO_HEAD, tornBytes: 0, isCut: (expected?.seq ?? 0) > 0, changed: 0 }
  }
  try {
    const first = await firstToWalk(files, expected)
    const part = files.slice(0, first + 1).toReversed()
    const { chain, faults, tornBytes } = await walkFiles(part, {
      expected,
      filesKept,
      isPart: true,
    })
    const [newest] = files
    const lost = (await strangeFiles(folder, filesKept)).filter(({ kind }) => kind === 'missing')
    return {
      head: chain.head,
      ...(newest!.number === 0 && { wholeBytes: newest!.size - tornBytes }),
      tornBytes,
      isCut: lost.length > 0 || faults.cut > 0,
      changed: faults.count - faults.told - faults.cut,
    }
  } finally {
    await closeAll(files)
  }
}

async function firstToWalk(
  files: readonly SecurityLogFile[],
  expected: SecurityHead | undefined,
): Promise<number> {
  let readable: number | undefined
  for (const [index, file] of files.entries()) {
    let seq: number | undefined
    await eachLine(file.file, Math.min(file.size, SECURITY_LINE_BYTES_MAX), (bytes) => {
      seq ??= bytes && parseLine(bytes)?.seq
    })
    if (seq === undefined) continue
    readable ??= index
    if (expected === undefined || expected.seq === 0 || seq <= expected.seq) return index
  }
  // A head from before the oldest line says nothing.
  return readable ?? files.length - 1
}

class Faults {
  readonly kept: SecurityFault[] = []
  count = 0
  /** Of these, found by the gateway before. */
  told = 0
  cut = 0

  add(fault: SecurityFault): void {
    this.count += 1
    if (fault.kind === 'told') this.told += 1
    if (fault.kind === 'cut') this.cut += 1
    if (this.kept.length < FAULTS_MAX) this.kept.push(fault)
  }
}

/** Who reads the lines. */
export interface LineReader {
  /** The bytes are lent. */
  readonly onLine?: (line: SecurityLine, bytes: Buffer) => void
  /** Awaited before more of a file is read. */
  readonly hasRoom?: () => Promise<void>
}

interface WalkOptions extends VerifyOptions, LineReader {
  readonly expected: SecurityHead | undefined
  /** Older files are left out. */
  readonly isPart?: boolean
}

interface Walk {
  readonly chain: SecurityChain
  readonly faults: Faults
  readonly lines: number
  readonly tornBytes: number
}

/** Goes through files, the oldest first. */
async function walkFiles(files: readonly SecurityLogFile[], options: WalkOptions): Promise<Walk> {
  const { expected, filesKept = SECURITY_FILES_KEPT, onLine, hasRoom, isPart = false } = options
  const faults = new Faults()
  const chain = new SecurityChain(expected, (fault) => faults.add(fault))
  let lines = 0
  let tornBytes = 0
  let last = nameOf(0)
  for (const { name: file, number, size, file: handle } of files) {
    const end = number === 0 ? await wholeEnd(handle, size) : size
    tornBytes = size - end
    last = file
    let line = 0
    const take = (bytes: Buffer | undefined): void => {
      line += 1
      lines += 1
      const at = { file, line, isCutFile: isPart || number === filesKept }
      const parsed = bytes && chain.take(bytes, at)
      if (bytes === undefined) chain.takeTooLong(at)
      else if (parsed !== undefined) onLine?.(parsed, bytes)
    }
    await eachLine(handle, end, take, hasRoom)
    if (line === 0) {
      faults.add({ kind: number === 0 ? 'cut' : 'missing', file, message: 'has no line' })
    }
  }
  chain.end(last)
  return { chain, faults, lines, tornBytes }
}

const SECTOR_BYTES = 512

/**
 * Where the whole lines of the file end that is written. A write that was cut off leaves a part of a line, or,
 * where a power cut kept some sectors of it, zeros in the place of the others, which no line has.
 */
async function wholeEnd(file: FileHandle, size: number): Promise<number> {
  const from = Math.max(0, size - SECURITY_WRITE_BYTES_MAX - SECURITY_LINE_BYTES_MAX)
  const buffer = Buffer.alloc(size - from)
  // A write that failed is cut back at any moment, also at this one.
  const tail = buffer.subarray(0, await readUpTo(file, buffer, from))
  const ended = tail.lastIndexOf(LINE_END) + 1
  const zero = tail.indexOf(0)
  if (zero === -1) return from + ended
  let after = zero
  while (tail[after] === 0) after++
  const begun = tail.lastIndexOf(LINE_END, zero) + 1
  const isFromSector = (from + zero) % SECTOR_BYTES === 0 || begun === zero
  const isToSector = (from + after) % SECTOR_BYTES === 0 || after === tail.length
  return from + (isFromSector && isToSector ? begun : ended)
}

/** How many bytes there were. */
async function readUpTo(file: FileHandle, into: Buffer, position: number): Promise<number> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await file.read(into, at, into.length - at, position + at)
    if (bytesRead === 0) return at
    at += bytesRead
  }
  return into.length
}

/** Each line up to `size`, without its line end, one that is too long as nothing. The bytes are lent. */
async function eachLine(
  file: FileHandle,
  size: number,
  take: (bytes: Buffer | undefined) => void,
  hasRoom?: () => Promise<void>,
): Promise<void> {
  const buffer = Buffer.alloc(CHUNK_BYTES)
  let held = 0
  let isTooLong = false
  for (let position = 0; position < size; ) {
    const length = Math.min(buffer.length - held, size - position)
    const count = await readUpTo(file, buffer.subarray(held, held + length), position)
    if (count < length) throw new Error('a file of the security log became shorter')
    position += length
    const filled = buffer.subarray(0, held + length)
    let start = 0
    for (let end = filled.indexOf(LINE_END); end !== -1; end = filled.indexOf(LINE_END, start)) {
      const isLine = !isTooLong && end - start <= SECURITY_LINE_BYTES_MAX
      take(isLine ? filled.subarray(start, end) : undefined)
      isTooLong = false
      start = end + 1
    }
    held = filled.length - start
    isTooLong ||= held > SECURITY_LINE_BYTES_MAX
    if (isTooLong) held = 0
    else buffer.copyWithin(0, start, filled.length)
    await hasRoom?.()
  }
  // What has no line end is no line, but in a file that is put aside there is nothing of that kind.
  if (held > 0 || isTooLong) take(undefined)
}
