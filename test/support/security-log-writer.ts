/** A process that appends to a security log until it is ended, and says each head that is on disk. */
import { writeSync } from 'node:fs'
import { formatHead, parseHead } from '../../shared/protocol/security-log.ts'
import { grantOf, openLog, REVOKED } from './security-logs.ts'

const [folder = '', kept = ''] = process.argv.slice(2)
const log = await openLog(folder, {
  fileBytesMax: 1500,
  filesKept: 3,
  expectedHead: parseHead(kept),
  onHead: (head) => writeSync(1, `${formatHead(head)}\n`),
})
for (let number = 0; ; number++) {
  const waiting = Array.from({ length: number % 7 }, (_, one) => log.append(grantOf(one)))
  log.tell({ event: 'login-failed', who: `user/u${number}`, source: '10.0.0.1', via: 'mqtt' })
  await Promise.all([...waiting, log.append(REVOKED)])
}
