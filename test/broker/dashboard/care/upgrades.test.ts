import t from 'tap'
import {
  countsLine,
  offersOf,
  planLines,
  stepsOf,
} from '../../../../broker/dashboard/care/upgrades.ts'

t.test('packages are offered by their version, the newest first', async (t) => {
  const pack = (version: string, architecture: string) => ({
    ...{ version, architecture, sha256: `${version} ${architecture}`, bytes: 1 },
  })
  const all = [pack('0.9.0', 'arm64'), pack('0.10.0', 'arm64'), pack('0.9.0', 'armv6')]
  const offers = offersOf(all).map(([version, own]) => [version, own.length])
  t.same(offers, [
    ['0.10.0', 1],
    ['0.9.0', 2],
  ])
})

t.test('a plan says how many would take it, and why others are left out', async (t) => {
  const nodes = [
    { node: 'a', state: 'waiting' },
    { node: 'b', state: 'skipped', code: 'sole-copies' },
    { node: 'c', state: 'skipped', code: 'sole-copies' },
    { node: 'd', state: 'skipped', code: 'no-package' },
  ]
  t.same(planLines(nodes, { wave: '10%', pause: 0 }), [
    '1 node would take it, one first, and then 10% at a time.',
    '2 nodes are left out: sole copies.',
    '1 node is left out: no package.',
  ])
  t.match(planLines([], { wave: '3', pause: 60 }), [/ then 3 at a time, 60 seconds apart\.$/])
})

t.test('who failed stands first, who is done nowhere', async (t) => {
  const nodes = ['waiting', 'done', 'installing', 'lost', 'went-back'].map((state, at) => ({
    ...{ node: `edge-${at}`, state },
  }))
  t.same(
    stepsOf(nodes).map(({ state }) => state),
    ['went-back', 'lost', 'installing', 'waiting'],
  )
  t.equal(countsLine({ done: 3, waiting: 0, 'went-back': 1 }), '3 done · 1 went back')
})
