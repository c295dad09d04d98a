import t from 'tap'
import { ANYONE, GATEWAY, type Role, STRANGER } from '../../../shared/protocol/access.ts'
import { HTTP_RIGHTS, type HttpRight, mayAsk } from '../../../shared/protocol/http-rights.ts'

/** Security.md, 9: what each role may ask for. */
const ALLOWED: Readonly<Record<Role, readonly HttpRight[]>> = {
  viewer: ['none', 'known', 'read', 'tasks'],
  submitter: ['none', 'known', 'tasks', 'submit'],
  operator: ['none', 'known', 'read', 'tasks', 'submit', 'operate'],
  admin: ['none', 'known', 'read', 'tasks', 'submit', 'operate', 'administer'],
}

t.test('roles have their rights, and add up', (t) => {
  const user = (...roles: Role[]) => ({ kind: 'user', name: 'u', roles, topics: [] }) as const
  const roles = Object.keys(ALLOWED) as Role[]
  for (const right of HTTP_RIGHTS) {
    for (const one of roles) {
      t.equal(mayAsk(user(one), right), ALLOWED[one].includes(right), `${one} ${right}`)
      for (const other of roles) {
        const either = ALLOWED[one].includes(right) || ALLOWED[other].includes(right)
        t.equal(mayAsk(user(one, other), right), either, `${one} and ${other} ${right}`)
      }
    }
    t.equal(mayAsk(user(), right), right === 'none' || right === 'known')
  }
  t.end()
})

t.test('who is no user has none, and where nobody is asked everybody has all', (t) => {
  const node = { kind: 'node', node: 'n1' } as const
  for (const right of HTTP_RIGHTS) {
    for (const who of [STRANGER, GATEWAY, node]) {
      t.equal(mayAsk(who as never, right), right === 'none', `${who.kind} ${right}`)
    }
    t.ok(mayAsk(ANYONE, right), right)
  }
  t.end()
})
