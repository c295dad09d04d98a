/** The fleets that can be simulated. */
import { HUNDRED, PATCHED, RULED, SENSED, THOUSAND, WATCHED } from './fleet-shape.ts'
import {
  MUST_HAPPEN,
  MUST_HAPPEN_TO_MANY,
  MUST_HAPPEN_TO_PATCHED,
  MUST_HAPPEN_TO_RULED,
  MUST_HAPPEN_TO_SENSED,
  MUST_HAPPEN_TO_WATCHED,
} from './must-happen.ts'
import type { Programs } from './programs.ts'
import { MUST_HAPPEN_TO_SIMPLE, SimpleFleet } from './simple-fleet.ts'
import { SimulatedFleet } from './simulated-fleet.ts'

/** One fleet, drawn from one seed. */
export interface FleetRun {
  /** How often each fault and path was met. */
  readonly counts: ReadonlyMap<string, number>
  /** Hears every effect as a line of text. */
  onLine: ((line: string) => void) | undefined
  /** Runs to the end; throws the first violation. */
  run(): Promise<void>
}

export interface FleetKind {
  readonly about: string
  readonly mustHappen: readonly string[]
  /** In so many seeds, all of that is met. */
  readonly seedsForAll: number
  create(seed: number, programs: Programs): FleetRun
}

export const FLEETS = {
  small: {
    about: 'up to 5 nodes, every fault',
    mustHappen: MUST_HAPPEN,
    seedsForAll: 400,
    create: (seed, programs) => new SimulatedFleet(seed, programs),
  },
  watched: {
    about: 'as small, and somebody looks at the grid all the time, and cells are watched',
    mustHappen: MUST_HAPPEN_TO_WATCHED,
    seedsForAll: 12,
    create: (seed, programs) => new SimulatedFleet(seed, programs, WATCHED),
  },
  sensed: {
    about: 'as small, and sensors tell readings all the time',
    mustHappen: MUST_HAPPEN_TO_SENSED,
    seedsForAll: 24,
    create: (seed, programs) => new SimulatedFleet(seed, programs, SENSED),
  },
  ruled: {
    about: 'as small, and rules are set',
    mustHappen: MUST_HAPPEN_TO_RULED,
    seedsForAll: 24,
    create: (seed, programs) => new SimulatedFleet(seed, programs, RULED),
  },
  patched: {
    about: 'as small, and tasks name programs that are patched',
    mustHappen: MUST_HAPPEN_TO_PATCHED,
    seedsForAll: 24,
    create: (seed, programs) => new SimulatedFleet(seed, programs, PATCHED),
  },
  hundred: {
    about: '100 nodes, of which some always fail',
    mustHappen: MUST_HAPPEN_TO_MANY,
    seedsForAll: 5,
    create: (seed, programs) => new SimulatedFleet(seed, programs, HUNDRED),
  },
  thousand: {
    about: '1,000 nodes, of which some always fail',
    mustHappen: MUST_HAPPEN_TO_MANY,
    seedsForAll: 1,
    create: (seed, programs) => new SimulatedFleet(seed, programs, THOUSAND),
  },
  many: {
    about: '5,000 simple agents',
    mustHappen: MUST_HAPPEN_TO_SIMPLE,
    seedsForAll: 1,
    create: (seed, programs) =>
      new SimpleFleet(seed, { nodes: 5000, width: 512, height: 256 }, programs),
  },
  huge: {
    about: '100,000 simple agents',
    mustHappen: MUST_HAPPEN_TO_SIMPLE,
    seedsForAll: 1,
    create: (seed, programs) =>
      new SimpleFleet(seed, { nodes: 100_000, width: 2048, height: 1024 }, programs),
  },
} satisfies Record<string, FleetKind>

export type FleetName = keyof typeof FLEETS

export function isFleetName(name: string): name is FleetName {
  return Object.hasOwn(FLEETS, name)
}
