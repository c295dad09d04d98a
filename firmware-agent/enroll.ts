/** `agent enroll`: gives a board its identity by hand, or another one; the store of its slice is not touched. */
import { assert } from '../shared/core/assert.ts'
import { isNodeId, type NodeId } from '../shared/core/ids.ts'
import { loadConfig } from '../shared/runtime/config.ts'
import { AppError, EXIT_CONFIG, EXIT_DONE } from '../shared/runtime/errors.ts'
import { ExclusiveLock } from '../shared/runtime/exclusive-lock.ts'
import type { Environment } from '../shared/runtime/option-table.ts'
import {
  enrolOnce,
  isSecure,
  nodeTokenIn,
  notEnrolled,
  notSecure,
  tokenAtHand,
} from './adapters/enrolment.ts'
import { isBegun, readIdentity } from './adapters/identity-files.ts'
import { AGENT } from './config.ts'

const AGAIN = '--again'
const TOKEN = '--token='
const REMEDY = ', an agent that was started by hand: end it, do this again, and start it anew'

/** Beside the agent's own options: `--again`, and `--token=`, which stands in no command line. */
export async function enrolByHand(
  argv: readonly string[],
  environment: Environment,
): Promise<number> {
  const isAgain = argv.includes(AGAIN)
  const text = argv.find((word) => word.startsWith(TOKEN))?.slice(TOKEN.length)
  const others = argv.filter((word) => word !== AGAIN && !word.startsWith(TOKEN))
  const loaded = await loadConfig(AGENT, others, environment)
  if (loaded.kind === 'help') return EXIT_DONE
  const { values: config } = loaded
  const { id: node, url, identity: folder, data } = config
  assert(isNodeId(node), 'the configuration checks the id')
  if (!isSecure(config)) throw notSecure(`${url}: an identity is for a gateway over mqtts://`)
  const token = text === undefined ? tokenAtHand(config, environment) : nodeTokenIn(text)
  if (token === undefined) throw notEnrolled(config, 'token-file')
  if (isAgain) assertBegun(folder)
  const lock = await ExclusiveLock.acquireAsOwner(data, REMEDY)
  try {
    if (!isAgain) refuseSecond(folder, node)
    await enrolOnce({ config, node, token, isAgain })
  } finally {
    await lock.release()
  }
  process.stdout.write(`node ${node} has ${isAgain ? 'another' : 'an'} identity: ${folder}\n`)
  return EXIT_DONE
}

/** Before a token is shown: most likely it is another folder that was meant. */
function assertBegun(folder: string): void {
  if (isBegun(folder)) return
  const message = `${folder}: there is no identity that another could take the place of: is --data right? The first one is taken without --again`
  throw new AppError('not-enrolled', message, { exitCode: EXIT_CONFIG })
}

function refuseSecond(folder: string, node: NodeId): void {
  if (readIdentity(folder, node) === undefined) return
  const message = `${folder} is there: --again gives node ${node} another identity in its place`
  throw new AppError('identity-there', message, { exitCode: EXIT_CONFIG })
}
