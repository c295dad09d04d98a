/** Draws power cuts, lays what they leave on the disk, and has it judged. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Random } from '../../../shared/core/random.ts'
import { messageOf } from '../../../shared/runtime/errors.ts'
import { databasePath } from '../../../shared/runtime/lmdb.ts'
import { type Cut, imageAt, SURVIVALS } from './disk-image.ts'
import type { DiskRecord } from './recording.ts'
import type { Fact, Subject } from './subject.ts'

/** Of so many images one is opened as after a cut; the others without the process that tries first. */
const TRIED_FIRST = 16

/**
 * Most cuts come just after something was acknowledged, where a loss would show, and some while the
 * store is made.
 */
export function drawCut(
  records: readonly DiskRecord[],
  seed: number,
  image: number,
  areFlushesIgnored: boolean,
): Cut {
  const random = randomOf(seed, image)
  const said = records.flatMap(({ kind }, at) => (kind === 'said' ? [at] : []))
  const draw = random.integer(20)
  const at =
    draw < 11
      ? said[random.integer(said.length)]! + 1
      : random.integer(draw < 17 ? records.length : said[0]! + 1)
  return { at, survival: SURVIVALS[random.integer(SURVIVALS.length)]!, areFlushesIgnored }
}

export async function judgeImage(
  subject: Subject,
  records: readonly DiskRecord[],
  cut: Cut,
  { directory, seed, image }: { directory: string; seed: number; image: number },
): Promise<string | undefined> {
  const root = join(directory, `image-${image}`)
  lay(records, cut, root, randomOf(seed, -1 - image))
  // A clean stop spares the trial; a file that kills whoever opens it then kills us, and shows.
  if (image % TRIED_FIRST !== 0) markClean(root)
  try {
    return await subject.judge(root, seed, factsBefore(records, cut.at))
  } catch (error) {
    return `it threw: ${messageOf(error)}`
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** What was said before the cut. */
function factsBefore(records: readonly DiskRecord[], at: number): Fact[] {
  return records
    .slice(0, at)
    .flatMap((record) => (record.kind === 'said' ? record.lines : []))
    .map((line) => JSON.parse(line) as Fact)
}

function lay(records: readonly DiskRecord[], cut: Cut, root: string, random: Random): void {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  const { names, bytes } = imageAt(records, cut, random)
  for (const name of names) {
    const path = join(root, name)
    mkdirSync(dirname(path), { recursive: true })
    // A renamed folder is a name, too. The lock is made anew by whoever opens first.
    if (dirname(name) === '.') mkdirSync(path, { recursive: true })
    else if (name.endsWith('/data.mdb')) writeFileSync(path, bytes)
    else if (name.endsWith('/clean')) writeFileSync(path, '')
  }
}

function markClean(root: string): void {
  try {
    writeFileSync(join(databasePath(root), 'clean'), '')
  } catch {
    // There is no store yet.
  }
}

function randomOf(seed: number, image: number): Random {
  return new Random(seed + Math.imul(image, 0x9e3779b1))
}
