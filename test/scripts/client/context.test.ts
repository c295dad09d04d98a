import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import t from 'tap'
import { contextPath, readContext, writeContext } from '../../../scripts/client/context.ts'

const context = { url: 'https://gw.local:8025', ca: 'none', user: 'ann', token: 'obu1-none' }

t.test('a login is kept for its owner alone, in folders that are his alone', (t) => {
  const environment = { HOME: t.testdir({}) }
  writeContext(environment, context)
  const path = contextPath(environment)!
  t.same(readContext(environment), context)
  const modes = [path, dirname(path), dirname(dirname(path))].map((at) => statSync(at).mode & 0o777)
  t.same(modes, [0o600, 0o700, 0o700])
  t.end()
})

t.test('a place where nothing can be kept is said, and not tried for ever', (t) => {
  t.throws(() => writeContext({ HOME: '/proc/x' }, context), { message: /\/proc\/x/ })
  t.throws(() => writeContext({}, context), { code: 'no-home' })
  t.end()
})
