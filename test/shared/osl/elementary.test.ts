/** Functions that are written out in + − × ÷, against far more digits; what they are not defined for; their bits. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { Random } from '../../../shared/core/random.ts'
import { ELEMENTARY } from '../../../shared/osl/elementary.ts'
import { ANGLE_MAX } from '../../../shared/osl/trigonometry.ts'
import { EXACT, ulpsBetween } from '../../support/exact-functions.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env.RUNS ?? 400)
t.comment(`SEED=${seed} RUNS=${RUNS} npx tap run test/shared/osl/elementary.test.ts`)

/** What docs/osl.md promises. */
const ULPS_MAX = 0.8

const between = (random: Random, low: number, high: number): number =>
  low + (high - low) * random.unit()

/** Either sign, and sizes of so many powers of two. */
function sized(random: Random, low: number, high: number): number {
  const sign = random.integer(2) === 0 ? 1 : -1
  return sign * 2 ** (low + random.integer(high - low)) * between(random, 1, 2)
}

type Draw = (random: Random) => number[]

const ANGLES: readonly Draw[] = [
  (random) => [between(random, -1, 1)],
  (random) => [between(random, -10, 10)],
  (random) => [sized(random, -60, 29)],
  // Next to a whole number of quarters.
  (random) => [Math.round(between(random, 1, 1e8)) * 1.5707963267948966],
]
const ABOVE_0: readonly Draw[] = [
  (random) => [between(random, 0.5, 2)],
  (random) => [1 + sized(random, -50, -3)],
  (random) => [Math.abs(sized(random, -1070, 1022))],
]
const PART_OF_1: readonly Draw[] = [
  (random) => [between(random, -1, 1)],
  (random) => [sized(random, -60, -1)],
  (random) => [1 - Math.abs(sized(random, -50, -3))],
]
const DRAWS: Readonly<Record<string, readonly Draw[]>> = {
  exp: [
    (random) => [between(random, -1, 1)],
    (random) => [between(random, -708, 709)],
    (random) => [sized(random, -60, 0)],
  ],
  exp2: [(random) => [between(random, -1, 1)], (random) => [between(random, -1021, 1023)]],
  log: ABOVE_0,
  log2: ABOVE_0,
  pow: [
    (random) => [between(random, 0, 10), between(random, -20, 20)],
    (random) => [between(random, 0.5, 2), between(random, -700, 700)],
    (random) => [Math.abs(sized(random, -900, 900)), between(random, -1, 1)],
    (random) => [1 + sized(random, -30, -20), sized(random, 20, 27)],
  ],
  tanh: [
    (random) => [between(random, -1, 1)],
    (random) => [between(random, -22, 22)],
    (random) => [sized(random, -60, 0)],
  ],
  ...{ sin: ANGLES, cos: ANGLES, tan: ANGLES, asin: PART_OF_1, acos: PART_OF_1 },
  atan: [(random) => [between(random, -1, 1)], (random) => [sized(random, -60, 60)]],
  atan2: [
    (random) => [between(random, -1, 1), between(random, -1, 1)],
    (random) => [sized(random, -40, 40), sized(random, -40, 40)],
  ],
}

const call = (name: string, a: number, b = 0): number =>
  (ELEMENTARY.get(name) as (a: number, b: number) => number)(a, b)

t.test('each result is next to the exact one', (t) => {
  const random = new Random(seed)
  t.strictSame(Object.keys(DRAWS).sort(), [...ELEMENTARY.keys()].sort())
  for (const [name, draws] of Object.entries(DRAWS)) {
    let worst = { ulps: 0, args: [] as number[] }
    for (let run = 0; run < RUNS; run++) {
      const args = draws[run % draws.length]!(random)
      const [a, b = 0] = args as [number, number?]
      const ulps = ulpsBetween(call(name, a, b), EXACT[name]!(a, b))
      // What is no number is not near either.
      if (!(ulps <= worst.ulps)) worst = { ulps, args }
    }
    t.ok(worst.ulps <= ULPS_MAX, `${name}(${worst.args}) is ${worst.ulps.toFixed(4)} bits off`)
  }
  const { units, exponent } = EXACT.exp!(1, 0)
  const off = ulpsBetween(Math.E, { units: units + (units >> 50n), exponent })
  t.ok(off > ULPS_MAX, 'and what is not would be noticed')
  t.end()
})

t.test('below 2^-1022 a result is next to the exact one or the one beside', (t) => {
  const random = new Random(seed)
  for (let run = 0; run < RUNS; run++) {
    const x = between(random, -745, -708)
    t.ok(ulpsBetween(call('exp', x), EXACT.exp!(x, 0)) <= 1.01, `exp(${x})`)
  }
  t.end()
})

const [MISSING, ENDLESS] = [Number.NaN, Number.POSITIVE_INFINITY]

t.test('what is exact is exact, and what has no result has none', (t) => {
  const cases: readonly (readonly [name: string, wanted: number, ...args: number[]])[] = [
    ...([
      ['exp', 1, 0],
      ['exp', ENDLESS, 710],
      ['exp', ENDLESS, ENDLESS],
      ['exp', 0, -746],
      ['exp', 0, -ENDLESS],
      ['exp2', 2 ** -1074, -1074],
      ['exp2', 2 ** 1023, 1023],
      ['exp2', ENDLESS, 1024],
      ['exp2', 0, -1100],
    ] as const),
    ...([
      ['log', 0, 1],
      ['log', MISSING, 0],
      ['log', MISSING, -1],
      ['log', ENDLESS, ENDLESS],
      ['log2', -1074, 2 ** -1074],
      ['log2', 1023, 2 ** 1023],
      ['log2', MISSING, 0],
    ] as const),
    ...([
      ['pow', 1, 0, 0],
      ['pow', 1, -3, 0],
      ['pow', 0, 0, 3],
      ['pow', MISSING, 0, -1],
      ['pow', -27, -3, 3],
      ['pow', 9, -3, 2],
      ['pow', MISSING, -3, 0.5],
      ['pow', 1, 1, 1e300],
      ['pow', ENDLESS, 10, 400],
      ['pow', 0, 10, -400],
      ['pow', ENDLESS, 2, 1e300],
      ['pow', 0.125, 2, -3],
      ['pow', 1e15, 10, 15],
      ['pow', 3, 9, 0.5],
    ] as const),
    ...([
      ['tanh', 0, 0],
      ['tanh', 1, 30],
      ['tanh', -1, -ENDLESS],
      ['sin', 0, 0],
      ['cos', 1, 0],
      ['sin', MISSING, ANGLE_MAX * 1.01],
      ['cos', MISSING, -ENDLESS],
      ['tan', MISSING, ENDLESS],
    ] as const),
    ...([
      ['asin', Math.PI / 2, 1],
      ['asin', MISSING, 1.0000000000000002],
      ['acos', Math.PI, -1],
      ['acos', 0, 1],
      ['acos', MISSING, -2],
      ['atan', Math.PI / 2, ENDLESS],
      ['atan2', MISSING, 0, 0],
      ['atan2', Math.PI, 0, -1],
      ['atan2', Math.PI, -0, -1],
      ['atan2', Math.PI / 4, 1e300, 1e300],
      ['atan2', Math.PI / 4, 5e-324, 5e-324],
      ['atan2', -Math.PI / 2, -ENDLESS, 3],
      ['atan2', MISSING, ENDLESS, ENDLESS],
    ] as const),
  ]
  for (const [name, wanted, a, b] of cases) {
    const got = call(name, a!, b)
    t.ok(Object.is(got + 0, wanted), `${name}(${a}, ${b}) is ${got}, not ${wanted}`)
  }
  for (const name of ELEMENTARY.keys()) {
    t.ok(Number.isNaN(call(name, MISSING, 1)), `${name} of what is missing`)
  }
  t.ok(Number.isNaN(call('pow', 1, MISSING)) && Number.isNaN(call('atan2', 1, MISSING)))
  t.end()
})

/** Another digest is another language: replicas of two versions would differ. */
t.test('the bits of the results stay as they are', (t) => {
  const random = new Random(20)
  const hash = createHash('sha256')
  for (const name of [...ELEMENTARY.keys()].sort()) {
    for (let run = 0; run < 500; run++) {
      // Of any size, made of whole numbers, so that nothing depends on what is tested here.
      const draw = (): number =>
        ((random.integer(2 ** 31) - 2 ** 30) / 2 ** 20) * 2 ** (random.integer(60) - 40)
      const value = call(name, draw(), draw())
      hash.update(
        new Uint8Array(Float64Array.of(value + 0 || (value === 0 ? 0 : Number.NaN)).buffer),
      )
    }
  }
  t.equal(hash.digest('hex').slice(0, 16), '7fc221660f54ca80')
  t.end()
})
