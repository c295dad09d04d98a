import type { IPublishPacket, MqttClient } from 'mqtt'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { randomId } from '../../shared/core/ids.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { decodePayload } from '../../shared/protocol/payload.ts'
import { isFilter } from '../../shared/protocol/topic-filters.ts'
import { AppError, EXIT_DONE } from '../../shared/runtime/errors.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import { closedBy, isRefusedFilter, mqttFault, mqttLogin } from '../client/mqtt-faults.ts'
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
const CONNECT_TIMEOUT_MS = 10_000
const CONNECT_AGAIN_MS = 500
/** What mqtt.js says of a SUBSCRIBE whose connection ended before its answer. */
const CUT_OFF = 'Connection closed'

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
  const { connect } = await import('mqtt')
  const client = connect(options.url, {
    // What begins with `obelisk-` is for boards, where the gateway is secured.
    ...(options.login && mqttLogin(options.login)),
    clientId: `sub-${randomId(new SystemRandom())}`,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    reconnectOnConnackError: true,
    // We do, at each connection.
    resubscribe: false,
  })
  try {
    return await untilInterrupted(
      (signal) =>
        new Promise<number>((resolve, reject) => {
          new Subscription(options, streams, client, { resolve, reject }).start(signal)
        }),
    )
  } finally {
    await client.endAsync(true)
  }
}

interface Settle {
  resolve(code: number): void
  reject(error: Error): void
}

class Subscription {
  readonly #options: SubscribeOptions
  readonly #streams: Streams
  readonly #client: MqttClient
  readonly #settle: Settle
  readonly #lines: LiveLines
  #timer: NodeJS.Timeout | undefined
  #printed = 0
  #link: 'new' | 'up' | 'away' | 'over' = 'new'

  constructor(options: SubscribeOptions, streams: Streams, client: MqttClient, settle: Settle) {
    this.#options = options
    this.#streams = streams
    this.#client = client
    this.#settle = settle
    this.#lines = new LiveLines(streams, 'message')
  }

  start(signal: AbortSignal): void {
    const { url, timeoutMs } = this.#options
    signal.addEventListener('abort', () => this.#fail(signal.reason))
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#onTimeout(), timeoutMs)
    this.#client.on('error', (error) => this.#onFailure(mqttFault(error, url)))
    this.#client.on('close', () => this.#onFailure(closedBy(url)))
    this.#client.on('message', (topic, payload, packet) => this.#onMessage(topic, payload, packet))
    this.#client.on('connect', () => {
      if (this.#link === 'away') this.#streams.stderr.write('the gateway is back\n')
      this.#link = 'up'
      this.#client.options.reconnectPeriod = CONNECT_AGAIN_MS
      this.#subscribe()
    })
  }

  #onFailure(failure: ObeliskError): void {
    if (this.#link === 'over') return
    if (failure.code !== 'unreachable' || this.#link === 'new') {
      this.#fail(inOwnWords(failure))
      return
    }
    if (this.#link === 'up') this.#streams.stderr.write(`${failure.message}; trying again\n`)
    this.#link = 'away'
  }

  #subscribe(): void {
    const { topic } = this.#options
    this.#client.subscribe(topic, { qos: 1 }, (error, granted) => {
      if (isRefusedFilter(error, granted)) {
        const detail = `the gateway does not let us read ${topic}`
        this.#fail(new ObeliskError({ code: 'login-refused', detail }))
      } else if (error && error.message !== CUT_OFF) {
        const message = `${topic}: ${error.message}`
        this.#fail(fault('subscribe-failed', message, error))
      }
    })
  }

  #onMessage(topic: string, payload: Buffer, packet: IPublishPacket): void {
    const { count = Number.POSITIVE_INFINITY, isJson } = this.#options
    if (this.#printed >= count) return
    const value = decodePayload(topic, payload)
    const line = isJson
      ? toJsonText({ topic, payload: value, qos: packet.qos, retain: packet.retain })
      : `${printable(topic)} ${printable(toJsonText(value))}`
    if (this.#lines.print(line)) this.#printed += 1
    if (this.#printed >= count) this.#finish(EXIT_DONE)
  }

  #onTimeout(): void {
    const { count, timeoutMs, url } = this.#options
    // Watching for a while is done when the while is over; waiting for messages is not.
    if (this.#link === 'up' && count === undefined && this.#printed > 0) {
      this.#finish(EXIT_DONE)
      return
    }
    const came = count === undefined ? this.#printed : `${this.#printed} of ${count}`
    const where = this.#link === 'up' ? '' : `; no gateway at ${url}`
    const message = `timed out after ${timeoutMs! / 1000} s; messages: ${came}${where}`
    this.#fail(fault('timed-out', message))
  }

  #finish(code: number): void {
    this.#end()
    this.#settle.resolve(code)
  }

  #fail(error: Error): void {
    this.#end()
    this.#settle.reject(error)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#lines.end()
    this.#link = 'over'
  }
}

/** It has said already where else a gateway may be; `--http` is not for MQTT. */
function inOwnWords(cause: ObeliskError): AppError {
  return new AppError(cause.code, cause.message, { cause, exitCode: exitCodeOf(cause) })
}
