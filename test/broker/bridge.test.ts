/** What the gateway is known by at both ends of its bridge. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bridgeMarks } from '../../broker/bridge.ts'

t.test('a gateway asks for the loop filter that it asked for before it was killed', async (t) => {
  const file = join(t.testdir(), 'token')
  const config = { topicBase: 'o/v1', bridgeUrl: 'mqtt://far', bridgeTokenFile: file }
  writeFileSync(file, 'one\n')
  const { loopFilter, clientId } = bridgeMarks(config, 'f1')
  t.match(loopFilter, /^o\/v1\/task\/[0-9a-f]{32}\/cancel$/)
  const again = bridgeMarks(config, 'f1')
  t.equal(again.loopFilter, loopFilter)
  t.not(again.clientId, clientId)
  t.not(bridgeMarks(config, 'f2').loopFilter, loopFilter)
  writeFileSync(file, 'two\n')
  t.not(bridgeMarks(config, 'f1').loopFilter, loopFilter, 'who does not know the token cannot tell')
  t.ok(bridgeMarks({ topicBase: 'o/v1', bridgeUrl: undefined, bridgeTokenFile: '/none' }, 'f1'))
})
