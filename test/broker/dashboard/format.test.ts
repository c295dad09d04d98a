import t from 'tap'
import {
  counted,
  formatAge,
  formatBytes,
  formatNumber,
  formatSpan,
  formatValue,
} from '../../../broker/dashboard/format.ts'

t.test('what is not known is a dash, and 0 is not', async (t) => {
  for (const unknown of [null, undefined, Number.NaN]) t.equal(formatNumber(unknown), '–')
  t.equal(formatBytes(null), '–')
  t.equal(formatNumber(0), '0')
  t.equal(formatBytes(0), '0 B')
})

t.test('numbers have the digits that are asked for', async (t) => {
  t.equal(formatNumber(1234.567), '1,235')
  t.equal(formatNumber(6.04, 1), '6.0')
  t.equal(counted(1, 'tile'), '1 tile')
  t.equal(counted(2570, 'tile'), '2,570 tiles')
})

t.test(
  'a value has no more digits than say something, and none is lost where it is whole',
  async (t) => {
    for (const [value, text] of [
      [0, '0'],
      [-2, '-2'],
      [783.75, '783.75'],
      [0.1 + 0.2, '0.3'],
      [65_536, '65,536'],
      [2 ** 52, '4,503,599,627,370,496'],
      [1e-9, '1.00000e-9'],
      [1e300, '1.00000e+300'],
      [Number.POSITIVE_INFINITY, 'Infinity'],
    ] as const) {
      t.equal(formatValue(value), text)
    }
  },
)

t.test('ages and spans are in the largest unit that says enough', async (t) => {
  for (const [ms, text] of [
    [-5, '0 s'],
    [1499, '1 s'],
    [99_000, '99 s'],
    [101_000, '2 min'],
    [3 * 3_600_000, '3 h'],
    [3 * 86_400_000, '3 d'],
  ] as const) {
    t.equal(formatAge(ms), text)
  }
  t.equal(formatSpan(153.4), '153 ms')
  t.equal(formatSpan(1530), '1.5 s')
  t.equal(formatSpan(61_000), '61 s')
})

t.test('bytes are in binary units', async (t) => {
  t.equal(formatBytes(1023), '1,023 B')
  t.equal(formatBytes(1536), '1.5 KiB')
  t.equal(formatBytes(300 * 1024 * 1024), '300 MiB')
  t.equal(formatBytes(5 * 1024 ** 5), '5,120 TiB')
})
