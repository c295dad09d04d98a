import t from 'tap'
import { connect } from '../../../scripts/client/connect.ts'

/** For documentation alone [RFC 5737]: nobody is there. */
const ELSEWHERE = '192.0.2.1'
const TOKEN = { token: 'obu1-none', user: 'ann' }

t.test('no secret goes to another machine where it could be read on the way', async (t) => {
  for (const scheme of ['http', 'mqtt']) {
    const refusal = { code: 'url-not-secure', detail: /^(?!.*word).*192\.0\.2\.1/ }
    await t.rejects(connect(`${scheme}://${ELSEWHERE}`, TOKEN), refusal, scheme)
    await t.rejects(connect(`${scheme}://ann:word@${ELSEWHERE}`, TOKEN), refusal, 'both')
  }
  const near = await connect('http://127.0.0.1:8025', TOKEN)
  await near.close()
})
