import fc from 'fast-check'
import t from 'tap'
import { compareVersions, isVersion } from '../../../shared/core/versions.ts'
import { check } from '../../support/property.ts'

/** As semver.org orders them, and one that is none first. */
const IN_ORDER = [
  'none',
  '0.9.9',
  '1.0.0-alpha',
  '1.0.0-alpha.1',
  '1.0.0-alpha.beta',
  '1.0.0-beta',
  '1.0.0-beta.2',
  '1.0.0-beta.11',
  '1.0.0-rc.1',
  '1.0.0',
  '1.0.1',
  '1.2.0',
  '1.10.0',
  '10.0.0',
]

t.test('versions are compared as they were released', async (t) => {
  for (const [at, left] of IN_ORDER.entries()) {
    for (const [other, right] of IN_ORDER.entries()) {
      const sign = Math.sign(compareVersions(left, right))
      t.equal(sign, Math.sign(at - other), `${left} and ${right}`)
    }
  }
})

t.test('what is no version is told', async (t) => {
  for (const text of ['1.2.3', '0.1.0-next.1']) t.ok(isVersion(text), text)
  for (const text of ['', '1.2', 'v1.2.3', '1.2.3+build', '1.2.3-', `1.2.3-${'a'.repeat(99)}`]) {
    t.notOk(isVersion(text), text)
  }
})

t.test('any versions can be sorted, in one way', async (t) => {
  const numbers = fc.array(fc.nat(20), { minLength: 3, maxLength: 3 })
  const before = fc.array(fc.constantFrom('0', '1', '10', 'rc', 'a-b'), { maxLength: 3 })
  const version = fc.record({ numbers, before }).map((parts) => {
    return [parts.numbers, parts.before]
      .map((part) => part.join('.'))
      .filter(Boolean)
      .join('-')
  })
  check(
    t,
    fc.property(version, version, version, (a, b, c) => {
      const isAntisymmetric =
        Math.sign(compareVersions(a, b)) === 0 - Math.sign(compareVersions(b, a))
      const isOrdered = compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0
      return isAntisymmetric && (!isOrdered || compareVersions(a, c) <= 0)
    }),
    1000,
  )
})
