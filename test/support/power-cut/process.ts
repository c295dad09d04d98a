/**
 * The two processes of a power-cut test, to be run with shim.c preloaded.
 *
 *   record <subject> <directory> <seed> <acknowledgements>
 *   judge <subject> <recording> <directory> <seed> <first image> <images> <flushes: kept or ignored>
 *
 * `judge` writes one line of JSON before it opens an image and one after it has judged it: an image
 * without the second is one that the process died of.
 */
import { openSync, writeSync } from 'node:fs'
import { drawCut, judgeImage } from './images.ts'
import { LEDGER } from './ledger-subject.ts'
import { readRecording } from './recording.ts'
import { SLICE } from './slice-subject.ts'
import type { Subject } from './subject.ts'

const SUBJECTS: Readonly<Record<string, Subject>> = { slice: SLICE, ledger: LEDGER }

const [mode, name, ...rest] = process.argv.slice(2) as [string, string, ...string[]]
const subject = SUBJECTS[name]!

if (mode === 'record') {
  const [directory, seed, acknowledgements] = rest as [string, string, string]
  const file = openSync(acknowledgements, 'a')
  await subject.record(directory, Number(seed), (fact) => {
    writeSync(file, `${JSON.stringify(fact)}\n`)
  })
} else {
  const [recording, directory, seed, first, images, flushes] = rest as string[]
  const records = readRecording(recording!)
  const say = (line: object): void => {
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
  const end = Number(first) + Number(images)
  for (let image = Number(first); image < end; image++) {
    const cut = drawCut(records, Number(seed), image, flushes === 'ignored')
    say({ image, at: cut.at, survival: cut.survival })
    const options = { directory: directory!, seed: Number(seed), image }
    const problem = await judgeImage(subject, records, cut, options)
    // The library lets go of some failures late; they are still of this image.
    await new Promise((resolve) => setImmediate(resolve))
    say({ image, judged: problem ?? null })
  }
}
