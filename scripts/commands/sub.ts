import type { IPublishPacket } from 'mqtt'
import type { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { randomId } from '../../shared/core/ids.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { decodePayload } from '../../shared/protocol/payload.ts'
import { isFilter } from '../../shared/protocol/topic-filters.ts'
import { AppError, EXIT_DONE } from '../../shared/runtime/errors.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import { mqttLogin } from '../client/mqtt-faults.ts'
import type { Listener } from '../client/mqtt-link.ts'
import { fault, usage } from '../fault.ts'
import type { AskedHere, CommandGroup, Flags } from './command-place.ts'
import { checkUrl, loginFor } from './gateway-at-hand.ts'
import { untilInterrupted } from './interruption.ts'
import { LiveLines } from './live-lines.ts'
import { exitCodeOf } from './refusal.ts'
import { printable, type Streams } from './streams.ts'
import { parseSeconds } from './task-request.ts'

type SubFlags = Flags<'url' | 'count' | 'timeout'>

interface SubscribeOptions {
  readonly url: string
  /** Of whoever logged in at this gateway. */
  readonly login?: { readonly user: string; readonly token: string; readonly ca: string }
  readonly topic: string
  readonly isJson: boolean
  /** Ends after this many messages; without it, never. */
  readonly count?: number
  readonly timeoutMs?: number
}

const MQTT_DEFAULT = 'mqtt://127.0.0.1:1883'

export function addSub(obelisk: CommandGroup): void {
  obelisk
    .does('sub <topic>', sub)
    .description('subscribe to a topic, and print what arrives, CBOR as JSON')
    .option(
      '--url <url>',
      `the gateway's MQTT address (OBELISK_URL; default: that of the login, else ${MQTT_DEFAULT})`,
    )
    .option('--json', 'print an object a message: topic, payload, qos, retain')
    .option('-n, --count <n>', 'end after this many messages')
    .option('--timeout <seconds>', 'end after this time (default: never)')
}

async function sub({ streams, flags }: AskedHere<SubFlags>, topic: string): Promise<number> {
  if (!isFilter(topic)) {
    throw usage(`"${topic}" is no topic: + stands for a whole level, and # for all that follow`)
  }
  const given = flags.url ?? (streams.environment.OBELISK_URL || undefined)
  const login = loginFor(given, streams.environment)
  const url = given ?? login?.mqtt ?? MQTT_DEFAULT
  const { count, timeout } = flags
  if (count !== undefined && !/^[1-9]\d{0,8}$/.test(count)) {
    throw usage(`--count: "${count}" is not a whole number above 0`)
  }
  const options = {
    url: checkUrl(url, ['mqtt:', 'mqtts:'], '--url'),
    topic,
    ...(login && { login }),
    isJson: flags.json !== undefined,
    ...(count === undefined ? {} : { count: Number(count) }),
    ...(timeout === undefined ? {} : { timeoutMs: parseSeconds(timeout, '--timeout') * 1000 }),
  }
  return await subscribe(options, streams)
}

/**
 * `sub <topic>`: prints what arrives, decoded, until the count or the time is reached. A gateway that was
 * there may start again meanwhile. It is never kept waiting: what a reader is too slow for is left out.
 */
async function subscribe(options: SubscribeOptions, streams: Streams): Promise<number> {
  const { MqttLink } = await import('../client/mqtt-link.ts')
  const { url, login, topic: filter, isJson, count = Number.POSITIVE_INFINITY, timeoutMs } = options
  const { stderr } = streams
  const lines = new LiveLines(streams, 'message')
  // What begins with `obelisk-` is for boards, where the gateway is secured.
  const clientId = `sub-${randomId(new SystemRandom())}`
  const link = new MqttLink(url, { ...(login && mqttLogin(login)), clientId })
  let printed = 0
  let timer: NodeJS.Timeout | undefined
  const print = (topic: string, payload: Buffer, { qos, retain }: IPublishPacket): void => {
    const value = decodePayload(topic, payload)
    const line = isJson
      ? toJsonText({ topic, payload: value, qos, retain })
      : `${printable(topic)} ${printable(toJsonText(value))}`
    if (lines.print(line)) printed += 1
  }
  const run = (signal: AbortSignal): Promise<number> =>
    new Promise<number>((resolve, reject) => {
      const fail = (error: ObeliskError): void => reject(inOwnWords(error))
      signal.addEventListener('abort', () => reject(signal.reason))
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => {
          const isUp = link.client !== undefined
          // Watching for a while is done when the while is over; waiting for messages is not.
          if (isUp && options.count === undefined && printed > 0) resolve(EXIT_DONE)
          else reject(timedOut(options, printed, isUp))
        }, timeoutMs)
      }
      const listener: Listener = {
        filters: [filter],
        hear: (...heard) => {
          if (printed < count) print(...heard)
          if (printed >= count) resolve(EXIT_DONE)
        },
        onBroken: ({ message }) => stderr.write(`${message}; trying again\n`),
        onMissed: () => stderr.write('the gateway is back\n'),
        onAway: (error) => error.isAway || fail(error),
      }
      link
        .connect()
        .then(() => link.listen(listener))
        .catch(fail)
    })
  try {
    return await untilInterrupted(run)
  } finally {
    clearTimeout(timer)
    lines.end()
    await link.close()
  }
}

function timedOut(
  { count, timeoutMs, url }: SubscribeOptions,
  printed: number,
  isUp: boolean,
): AppError {
  const came = count === undefined ? printed : `${printed} of ${count}`
  const where = isUp ? '' : `; no gateway at ${url}`
  return fault('timed-out', `timed out after ${timeoutMs! / 1000} s; messages: ${came}${where}`)
}

/** It has said already where else a gateway may be; `--http` is not for MQTT. */
function inOwnWords(cause: ObeliskError): AppError {
  return new AppError(cause.code, cause.message, { cause, exitCode: exitCodeOf(cause) })
}
