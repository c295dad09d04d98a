/** The memory of another process as the kernel counts it, at a moment and over a while. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from './measure.ts'

/** Bytes. */
export interface Footprint {
  readonly rss: number
  readonly anonymous: number
}

/** Medians, and the greatest. */
export interface Footprints extends Footprint {
  readonly anonymousMax: number
}

/** Addresses that belong to an emulated program; what lies outside is the emulator's. */
export interface AddressWindow {
  readonly start: bigint
  readonly bytes: bigint
}

const SAMPLE_MS = 1000
const KIB = 1024

/** Of all of a process, or of what it has in a window. */
export function footprintOf(pid: number, window?: AddressWindow): Footprint {
  if (window === undefined) return countsOf(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
  return footprintIn(readFileSync(`/proc/${pid}/smaps`, 'utf8'), window)
}

/** What `smaps` has in a window. */
export function footprintIn(smaps: string, { start, bytes }: AddressWindow): Footprint {
  const inside = smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).filter((mapping) => {
    const at = BigInt(`0x${mapping.slice(0, mapping.indexOf('-'))}`)
    return at >= start && at < start + bytes
  })
  const counts = inside.map(countsOf)
  return {
    rss: counts.reduce((sum, { rss }) => sum + rss, 0),
    anonymous: counts.reduce((sum, { anonymous }) => sum + anonymous, 0),
  }
}

function countsOf(text: string): Footprint {
  const bytesOf = (name: string): number => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]
    if (kib === undefined) throw new Error(`no ${name} in smaps`)
    return Number(kib) * KIB
  }
  return { rss: bytesOf('Rss'), anonymous: bytesOf('Anonymous') }
}

/** Samples once a second while `isOver` says no. */
export async function sampleFootprints(
  look: () => Footprint,
  isOver: (samples: number) => boolean,
): Promise<Footprints> {
  const samples: Footprint[] = []
  while (!isOver(samples.length)) {
    samples.push(look())
    await sleep(SAMPLE_MS)
  }
  const anonymous = samples.map((one) => one.anonymous)
  return {
    rss: median(samples.map((one) => one.rss)),
    anonymous: median(anonymous),
    anonymousMax: Math.max(...anonymous),
  }
}
