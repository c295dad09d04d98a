/** The matrix of security.md, written down here once more, against what the code decides. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { NodeId, TaskId } from '../../../shared/core/ids.ts'
import {
  identityOf,
  mayPublish,
  mayReceive,
  maySubscribe,
  type Principal,
  type Role,
  type UserPrincipal,
} from '../../../shared/protocol/access.ts'
import { filterMatches } from '../../../shared/protocol/topic-filters.ts'
import type { Topic } from '../../../shared/protocol/topics.ts'
import { codesIn, Markdown } from '../../support/markdown.ts'
import { check } from '../../support/property.ts'

const BASE = 'obelisk/v1'
const PROTOCOL = new URL('../../../docs/protocol.md', import.meta.url)

function user(name: string, roles: readonly Role[], topics: readonly string[] = []): UserPrincipal {
  return { kind: 'user', name, roles, topics }
}

const WHO: Readonly<Record<string, Principal>> = {
  node: { kind: 'node', node: 'n1' as NodeId },
  viewer: user('viewer1', ['viewer']),
  submitter: user('me', ['submitter'], ['home/#']),
  operator: user('operator1', ['operator']),
  admin: user('admin1', ['admin']),
  both: user('me', ['viewer', 'submitter'], ['home/#']),
  device: user('device1', [], ['home/+/lamp']),
  nobody: user('nobody1', []),
  stranger: { kind: 'stranger' },
  gateway: { kind: 'gateway' },
  anyone: { kind: 'anyone' },
}

/** `mine` is a task of the user `me`. */
const ownerOf = (topic: Topic): string | undefined => {
  if (topic.kind === 'task-rejected') return 'user/me'
  return 'task' in topic && topic.task === ('mine' as TaskId) ? 'user/me' : 'user/other'
}

// P publish, R receive (and so subscribe to just this), in the order of the columns.
const COLUMNS = [
  ...['node', 'viewer', 'submitter', 'operator', 'admin', 'both', 'device', 'nobody'],
  ...['stranger', 'gateway', 'anyone'],
]
const MATRIX: readonly (readonly [topic: string, ...cells: string[]])[] = [
  ['obelisk/v1/task/submit', '-', '-', 'P', 'P', 'P', 'P', '-', '-', '-', '-', 'PR'],
  ['obelisk/v1/task/mine/cancel', '-', '-', 'P', 'P', 'P', 'P', '-', '-', '-', '-', 'PR'],
  ['obelisk/v1/task/other/cancel', '-', '-', '-', 'P', 'P', '-', '-', '-', '-', '-', 'PR'],
  ['obelisk/v1/task/mine/state', '-', 'R', 'R', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/mine/result', '-', 'R', 'R', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/mine/result/json', '-', 'R', 'R', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/other/state', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/other/result', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/other/result/json', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/rejected', '-', 'R', 'R', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/state', 'P', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/info', 'P', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/telemetry', 'P', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/event', 'P', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/telemetry/json', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/up', 'P', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/down', 'R', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n2/state', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n2/telemetry', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n2/up', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n2/down', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/gateway/state', '-', 'R', 'R', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/gateway/ring', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/gateway/event', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/gateway/codex', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/gateway/summary', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/cell/rain/3/4', '-', '-', 'P', 'P', 'P', 'P', '-', '-', '-', '-', 'PR'],
  ['obelisk/v1/cell/rain', '-', '-', 'P', 'P', 'P', 'P', '-', '-', '-', '-', 'PR'],
  ['obelisk/v1/cell/rain/3', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/cell/rain/3/4/value', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/rule/r1/state', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  ['obelisk/v1', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/else', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/task/a b/state', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['obelisk/v1/node/n1/state/more', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'R'],
  ['$SYS/broker/uptime', '-', 'R', '-', 'R', 'R', 'R', '-', '-', '-', '-', 'R'],
  // Who may ask for all of `$SYS/#` may ask for this, too; it hears nothing.
  ['$SYS/x/new/clients', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'S'],
  ['$probe/x', '-', '-', '-', '-', '-', '-', '-', '-', '-', 'PR', '-'],
  ['$other', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-', '-'],
  ['home/1/lamp', '-', '-', 'PR', 'PR', 'PR', 'PR', 'PR', '-', '-', '-', 'PR'],
  ['home/1/door', '-', '-', 'PR', 'PR', 'PR', 'PR', '-', '-', '-', '-', 'PR'],
  ['home', '-', '-', 'PR', 'PR', 'PR', 'PR', '-', '-', '-', '-', 'PR'],
  ['office', '-', '-', '-', 'PR', 'PR', '-', '-', '-', '-', '-', 'PR'],
  ['obelisk/v2/task/submit', '-', '-', '-', 'PR', 'PR', '-', '-', '-', '-', '-', 'PR'],
]

/** The table of docs/protocol.md: `own` is the node n1, or a task of `me`. */
const DOCUMENTED = new Markdown(readFileSync(PROTOCOL, 'utf8'))
  .section('Rights')
  .rows()
  .filter(([named, ...cells]) => cells.length === 4 && /^`(task|node|gateway|cell)/.test(named!))

t.test('attempts 38 to 42: the page says the same of each role and topic', (t) => {
  const COLUMNS = ['node', 'viewer', 'submitter', 'operator'] as const
  const topics = DOCUMENTED.flatMap(([named]) => codesIn(named!))
  t.equal(topics.length, 21)
  for (const [named, ...cells] of DOCUMENTED) {
    const tested = codesIn(named!).flatMap((code) =>
      ['mine', 'other'].map((task) => {
        const node = task === 'mine' ? 'n1' : 'n2'
        const text = `${BASE}/${code
          .replace('<task>', task)
          .replace('<node>', node)
          .replace('<field>', 'rain')
          .replace(/<[xy]>/g, '3')}`
        // Of whom a refusal is, its receiver alone knows.
        return { text, isOwn: task === 'mine' || code === 'task/rejected' }
      }),
    )
    for (const { text, isOwn } of tested) {
      cells.forEach((cell, at) => {
        const who = WHO[COLUMNS[at]!]!
        const may = (letter: string): boolean =>
          cell.startsWith(letter) && (isOwn || !cell.endsWith(' own'))
        t.equal(mayPublish(BASE, who, text, ownerOf), may('P'), `${COLUMNS[at]} → ${text}`)
        t.equal(mayReceive(BASE, who, text, ownerOf), may('R'), `${COLUMNS[at]} ← ${text}`)
      })
    }
  }
  t.end()
})

t.test('each role, each topic, each action', (t) => {
  for (const [topic, ...cells] of MATRIX) {
    t.equal(cells.length, COLUMNS.length)
    cells.forEach((cell, at) => {
      const name = COLUMNS[at]!
      const who = WHO[name]!
      t.equal(mayPublish(BASE, who, topic, ownerOf), cell.includes('P'), `${name} → ${topic}`)
      t.equal(mayReceive(BASE, who, topic, ownerOf), cell.includes('R'), `${name} ← ${topic}`)
      // Whose the task is does not matter yet: `ownerOf` may say otherwise of a later one.
      const isOfTasks = /\/task\/[\w-]+\/(state|result)/.test(topic)
      const may = isOfTasks && name === 'submitter' ? true : /[RS]/.test(cell)
      t.equal(maySubscribe(BASE, who, topic), may, `${name} asks for ${topic}`)
    })
  }
  t.end()
})

t.test('filters with wildcards: granted if they match anything readable', (t) => {
  const all = ['viewer', 'submitter', 'operator', 'admin', 'both', 'device', 'anyone']
  const readers = ['viewer', 'operator', 'admin', 'both', 'anyone']
  const outside = ['submitter', 'operator', 'admin', 'both', 'device', 'anyone']
  const filters: readonly (readonly [string, readonly string[]])[] = [
    ['#', all],
    ['+/#', all],
    ['obelisk/#', all.filter((name) => name !== 'device')],
    ['obelisk/v1/#', all.filter((name) => name !== 'device')],
    ['+/+/task/#', all.filter((name) => name !== 'device')],
    ['obelisk/v1/task/+/+', all.filter((name) => name !== 'device')],
    ['obelisk/v1/node/#', readers],
    ['obelisk/v1/node/+/down', ['anyone']],
    ['obelisk/v1/node/+/up', ['anyone']],
    // `rule/#` has all that these may match.
    ['obelisk/v1/+', readers],
    ['obelisk/+', ['operator', 'admin', 'anyone']],
    ['obelisk/v1/task/+', all.filter((name) => name !== 'device')],
    ['obelisk/v1/+/+/cancel', readers],
    ['obelisk/v1/task/+/cancel', ['anyone']],
    ['$SYS/#', readers],
    ['$SYS/broker/+', readers],
    ['$SYS/+/new/clients', readers],
    ['$share/x', []],
    ['$probe/+', ['gateway']],
    ['home/#', outside],
    ['home/+', outside.filter((name) => name !== 'device')],
    ['+/1/+', outside],
    ['office/#', ['operator', 'admin', 'anyone']],
  ]
  for (const [filter, granted] of filters) {
    const found = COLUMNS.filter((name) => maySubscribe(BASE, WHO[name]!, filter))
    t.same(found.sort(), [...granted].sort(), filter)
  }
  t.end()
})

const level = fc.constantFrom('obelisk', 'v1', 'task', 'mine', 'state', 'home', '$SYS', 'a b', '+')
const filterOf = fc
  .tuple(fc.array(level, { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))

t.test('who may receive a topic may subscribe to each filter that matches it', (t) => {
  const topics = MATRIX.map(([topic]) => topic)
  const law = fc.property(
    fc.constantFrom('viewer', 'submitter', 'operator', 'both', 'device', 'nobody', 'stranger'),
    filterOf,
    fc.constantFrom(...topics),
    (name, filter, topic) => {
      const who = WHO[name]!
      const hears = filterMatches(filter, topic) && mayReceive(BASE, who, topic, ownerOf)
      return !hears || maySubscribe(BASE, who, filter)
    },
  )
  check(t, law, 5000)
  t.end()
})

t.test('who may receive nothing may subscribe to nothing', (t) => {
  const law = fc.property(filterOf, (filter) => {
    return !maySubscribe(BASE, WHO.nobody!, filter) && !maySubscribe(BASE, WHO.stranger!, filter)
  })
  check(t, law, 1000)
  t.end()
})

t.test('attempt 47: a name widens nothing, whatever stands in it', (t) => {
  const names = ['+', '#', '../x', 'me/#', 'node/n1', 'other', '', '$SYS', 'user/me']
  const law = fc.property(
    fc.oneof(fc.constantFrom(...names), fc.string()).filter((name) => name !== 'me'),
    fc.constantFrom(...MATRIX.map(([topic]) => topic)),
    (name, topic) => {
      const who = user(name, ['submitter'])
      const isOwn = (one: Topic): string | undefined =>
        'task' in one ? `user/${one.task}` : 'user/me'
      if (topic.endsWith('/cancel'))
        return mayPublish(BASE, who, topic, isOwn) === topic.includes(`/${name}/`)
      const isMine = topic.includes('/task/') && topic.includes(`/${name}/`)
      const isOpen = topic === `${BASE}/gateway/state` || isMine
      return mayReceive(BASE, who, topic, isOwn) === isOpen
    },
  )
  check(t, law, 5000)
  t.end()
})

t.test('no two have one identity', (t) => {
  const identities = ['n1', 'me', 'gateway', 'anyone'].flatMap((name) => [
    identityOf({ kind: 'node', node: name as NodeId }),
    identityOf(user(name, [])),
  ])
  identities.push(identityOf({ kind: 'gateway' }), identityOf({ kind: 'anyone' }))
  identities.push(identityOf({ kind: 'stranger' }))
  t.equal(new Set(identities).size, identities.length)
  t.end()
})
