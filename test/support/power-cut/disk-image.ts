/**
 * What a power cut leaves of a recording. The model of the disk: a write lies in the page cache until
 * a flush that began after it has ended, or a direct write of the same page takes all of that page
 * along; until then each page may or may not have reached the disk, in any of its versions, and the
 * last one perhaps only in part. Names of one folder reach the disk in order, and are safe once the
 * folder was flushed; another folder may be ahead or behind.
 */
import { dirname } from 'node:path'
import type { Random } from '../../../shared/core/random.ts'
import type { DiskRecord } from './recording.ts'

/** What becomes of what was not flushed: nothing reached the disk, all, some pages, some sectors. */
export const SURVIVALS = ['nothing', 'everything', 'pages', 'sectors'] as const
export type Survival = (typeof SURVIVALS)[number]

export interface Cut {
  /** Records before this one have happened; this one was under way. */
  readonly at: number
  readonly survival: Survival
  /** As if no flush had done anything: for the control, which must see damage. */
  readonly areFlushesIgnored: boolean
}

export interface DiskImage {
  /** Folders and files below the root; the file that was recorded is there, or not, by its name. */
  readonly names: ReadonlySet<string>
  readonly bytes: Uint8Array
}

const PAGE_BYTES = 4096
const SECTOR_BYTES = 512
/** Chance that the kernel wrote a page back by itself, for each write to it. */
const WRITTEN_BACK = 0.3

interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}

export function imageAt(records: readonly DiskRecord[], cut: Cut, random: Random): DiskImage {
  const flushes = flushesUpTo(records, cut)
  return {
    names: namesAt(records, cut, flushes, random),
    bytes: contentAt(records, cut, flushes, random),
  }
}

/** By path, the record before which everything is on disk. */
type Flushes = ReadonlyMap<string, number>

function flushesUpTo(records: readonly DiskRecord[], cut: Cut): Flushes {
  const begun = new Map<number, { path: string; at: number }>()
  const done = new Map<string, number>()
  if (cut.areFlushesIgnored) return done
  for (let at = 0; at < cut.at; at++) {
    const record = records[at]!
    if (record.kind === 'flush-begun') begun.set(record.flush, { path: record.path, at })
    if (record.kind !== 'flushed') continue
    const flush = begun.get(record.flush)!
    // The file that was recorded is one, whatever its folder was called when.
    const name = flush.path.endsWith('data.mdb') ? 'data.mdb' : flush.path
    done.set(name, Math.max(done.get(name) ?? 0, flush.at))
  }
  return done
}

function contentAt(
  records: readonly DiskRecord[],
  cut: Cut,
  flushes: Flushes,
  random: Random,
): Uint8Array {
  const isDrawn = cut.survival === 'pages' || cut.survival === 'sectors'
  const flushedBefore = flushes.get('data.mdb') ?? 0
  const disk = new PagedFile()
  const cache = new Map<number, Piece[]>()
  const writeBack = (page: number): void => {
    for (const piece of cache.get(page) ?? []) disk.write(piece)
    cache.delete(page)
  }
  // The write that was under way is one of those that may be there, or not, or in part.
  for (let at = 0; at < (isDrawn ? cut.at + 1 : cut.at); at++) {
    const record = records[at]
    if (record?.kind === 'truncated') disk.truncate(record.size)
    if (record?.kind !== 'written') continue
    if (at < flushedBefore) {
      disk.write(record)
      continue
    }
    const isDirect = record.isDirect && at < cut.at
    for (const piece of piecesOf(record)) {
      const page = Math.floor(piece.offset / PAGE_BYTES)
      const versions = cache.get(page) ?? []
      versions.push(piece)
      cache.set(page, versions)
      if (isDirect || (isDrawn && random.unit() < WRITTEN_BACK)) writeBack(page)
    }
  }
  if (cut.survival === 'everything') for (const page of [...cache.keys()]) writeBack(page)
  if (isDrawn) {
    for (const versions of cache.values()) surviving(disk, versions, cut.survival, random)
  }
  return disk.content()
}

/** Some of the versions of a page; of the last of these perhaps only some sectors. */
function surviving(
  disk: PagedFile,
  versions: readonly Piece[],
  survival: Survival,
  random: Random,
): void {
  const count = random.integer(versions.length + 1)
  for (const [index, piece] of versions.slice(0, count).entries()) {
    if (survival === 'pages' || index < count - 1) {
      disk.write(piece)
      continue
    }
    for (const sector of piecesOf(piece, SECTOR_BYTES)) {
      if (random.integer(2) === 0) disk.write(sector)
    }
  }
}

function piecesOf({ offset, bytes }: Piece, size = PAGE_BYTES): Piece[] {
  const pieces: Piece[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(size - ((offset + at) % size), bytes.length - at)
    pieces.push({ offset: offset + at, bytes: bytes.subarray(at, at + length) })
    at += length
  }
  return pieces
}

/** A file that grows as it is written to, with zeros in between. */
class PagedFile {
  #bytes = new Uint8Array(64 * PAGE_BYTES)
  #size = 0

  write({ offset, bytes }: Piece): void {
    const end = offset + bytes.length
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(2 * end)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(bytes, offset)
    this.#size = Math.max(this.#size, end)
  }

  truncate(size: number): void {
    this.#bytes.fill(0, size)
    this.#size = size
  }

  content(): Uint8Array {
    return this.#bytes.subarray(0, this.#size)
  }
}

function namesAt(
  records: readonly DiskRecord[],
  cut: Cut,
  flushes: Flushes,
  random: Random,
): Set<string> {
  const names = new Set<string>()
  const lost = new Set<string>()
  for (let at = 0; at < cut.at; at++) {
    const record = records[at]!
    if (record.kind !== 'created' && record.kind !== 'unlinked' && record.kind !== 'renamed') {
      continue
    }
    const folder = folderOf(record.kind === 'renamed' ? record.to : record.path)
    const isFlushed = at < (flushes.get(folder) ?? 0)
    if (!isFlushed && !lost.has(folder) && !survives(cut.survival, random)) lost.add(folder)
    if (isFlushed || !lost.has(folder)) change(names, record)
  }
  return names
}

function survives(survival: Survival, random: Random): boolean {
  if (survival === 'nothing' || survival === 'everything') return survival === 'everything'
  return random.integer(2) === 0
}

function folderOf(path: string): string {
  const folder = dirname(path)
  return folder === '.' ? '' : folder
}

function change(
  names: Set<string>,
  record: Extract<DiskRecord, { kind: 'created' | 'unlinked' | 'renamed' }>,
): void {
  if (record.kind === 'unlinked') names.delete(record.path)
  if (record.kind === 'created') names.add(record.path)
  if (record.kind !== 'renamed') return
  names.add(record.to)
  for (const name of [...names]) {
    if (!name.startsWith(`${record.from}/`)) continue
    names.delete(name)
    names.add(record.to + name.slice(record.from.length))
  }
}
