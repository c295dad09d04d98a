import type { IConnackPacket, IPublishPacket, MqttClient } from 'mqtt'
import { randomId } from '../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import {
  AppError,
  EXIT_CONFIG,
  EXIT_DONE,
  EXIT_FAILED,
  EXIT_NOT_ALLOWED,
  EXIT_TIMED_OUT,
  EXIT_UNAVAILABLE,
  messageOf,
} from '../../shared/runtime/errors.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import { isOfTrust } from '../client/node-carrier.ts'
import { decodePayload } from './payload.ts'
import { printable, type Streams } from './streams.ts'

export interface SubscribeOptions {
  readonly url: string
  /** Of whoever logged in at this gateway. */
  readonly login?: { readonly user: string; readonly token: string; readonly ca: string }
  readonly topic: string
  readonly isJson: boolean
  /** Ends after this many messages; without it, never. */
  readonly count?: number
  readonly timeoutMs?: number
}

const CONNECT_TIMEOUT_MS = 10_000
const CONNECT_AGAIN_MS = 500
/** MQTT 3.1.1 [MQTT-3.2.2-6]: bad user name or password, not authorized. */
const REFUSALS_OF_RIGHTS = [4, 5]
/** SUBACK's failure code (MQTT 3.1.1, 3.9.3). */
const SUBSCRIPTION_FAILED = 0x80
/** What mqtt.js says of a SUBSCRIBE whose connection ended before its answer. */
const CUT_OFF = 'Connection closed'

/**
 * `sub <topic>`: prints what arrives, decoded, until the count or the time is reached. A gateway that was
 * there may start again meanwhile.
 */
export async function subscribe(options: SubscribeOptions, streams: Streams): Promise<number> {
  const { connect } = await import('mqtt')
  const client = connect(options.url, {
    // What begins with `obelisk-` is for boards, where the gateway is secured.
    ...(options.login && credentialsOf(options.login)),
    clientId: `sub-${randomId(new SystemRandom())}`,
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectPeriod: 0,
    reconnectOnConnackError: true,
    // We do, at each connection.
    resubscribe: false,
  })
  try {
    return await new Promise<number>((resolve, reject) => {
      new Subscription(options, streams, client, { resolve, reject }).start()
    })
  } finally {
    await client.endAsync(true)
  }
}

/** The name that agents check, too: the address may be any by which the gateway is reached. */
function credentialsOf({ user, token, ca }: NonNullable<SubscribeOptions['login']>): object {
  return { username: user, password: token, ca, servername: GATEWAY_SERVER_NAME }
}

interface Settle {
  resolve(code: number): void
  reject(error: AppError): void
}

class Subscription {
  readonly #options: SubscribeOptions
  readonly #streams: Streams
  readonly #client: MqttClient
  readonly #settle: Settle
  #timer: NodeJS.Timeout | undefined
  #received = 0
  #link: 'new' | 'up' | 'away' | 'over' = 'new'

  constructor(options: SubscribeOptions, streams: Streams, client: MqttClient, settle: Settle) {
    this.#options = options
    this.#streams = streams
    this.#client = client
    this.#settle = settle
  }

  start(): void {
    const { url, timeoutMs } = this.#options
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#onTimeout(), timeoutMs)
    this.#client.on('error', (error) => this.#onFailure(failureOf(error, url)))
    this.#client.on('close', () => {
      const message = `no gateway at ${url}, or it closed the connection; --url says where`
      this.#onFailure(new AppError('unreachable', message, { exitCode: EXIT_UNAVAILABLE }))
    })
    this.#client.on('message', (topic, payload, packet) => this.#onMessage(topic, payload, packet))
    this.#client.on('connect', () => {
      if (this.#link === 'away') this.#streams.stderr.write('the gateway is back\n')
      this.#link = 'up'
      this.#client.options.reconnectPeriod = CONNECT_AGAIN_MS
      this.#subscribe()
    })
  }

  #onFailure(failure: AppError): void {
    if (this.#link === 'over') return
    if (failure.code !== 'unreachable' || this.#link === 'new') {
      this.#fail(failure)
      return
    }
    if (this.#link === 'up') this.#streams.stderr.write(`${failure.message}; trying again\n`)
    this.#link = 'away'
  }

  #subscribe(): void {
    const { topic } = this.#options
    this.#client.subscribe(topic, { qos: 1 }, (error, granted) => {
      const isRefused = granted?.some((grant) => (grant.qos as number) === SUBSCRIPTION_FAILED)
      if (isRefused || /unspecified error|not authorized/i.test(error?.message ?? '')) {
        const message = `the gateway does not let us read ${topic}`
        this.#fail(new AppError('login-refused', message, { exitCode: EXIT_NOT_ALLOWED }))
      } else if (error && error.message !== CUT_OFF) {
        const message = `${topic}: ${error.message}`
        this.#fail(
          new AppError('subscribe-failed', message, { cause: error, exitCode: EXIT_FAILED }),
        )
      }
    })
  }

  #onMessage(topic: string, payload: Buffer, packet: IPublishPacket): void {
    const { count = Number.POSITIVE_INFINITY, isJson } = this.#options
    if (this.#received >= count) return
    this.#received += 1
    const value = decodePayload(topic, payload)
    const line = isJson
      ? toJsonText({ topic, payload: value, qos: packet.qos, retain: packet.retain })
      : `${printable(topic)} ${printable(toJsonText(value))}`
    this.#streams.stdout.write(`${line}\n`)
    if (this.#received >= count) this.#finish(EXIT_DONE)
  }

  #onTimeout(): void {
    const { count, timeoutMs, url } = this.#options
    // Watching for a while is done when the while is over; waiting for messages is not.
    if (this.#link === 'up' && count === undefined && this.#received > 0) {
      this.#finish(EXIT_DONE)
      return
    }
    const came = count === undefined ? this.#received : `${this.#received} of ${count}`
    const where = this.#link === 'up' ? '' : `; no gateway at ${url}`
    const message = `timed out after ${timeoutMs! / 1000} s; messages: ${came}${where}`
    this.#fail(new AppError('timed-out', message, { exitCode: EXIT_TIMED_OUT }))
  }

  #finish(code: number): void {
    this.#end()
    this.#settle.resolve(code)
  }

  #fail(error: AppError): void {
    this.#end()
    this.#settle.reject(error)
  }

  #end(): void {
    clearTimeout(this.#timer)
    this.#link = 'over'
  }
}

function failureOf(error: Error & { code?: unknown }, url: string): AppError {
  const code = error.code as IConnackPacket['returnCode'] | string | undefined
  if (typeof code === 'number' && REFUSALS_OF_RIGHTS.includes(code)) {
    const message = `the gateway does not let us in: ${error.message}; obelisk login says who we are`
    return new AppError('login-refused', message, { cause: error, exitCode: EXIT_NOT_ALLOWED })
  }
  if (typeof code === 'string' && isOfTrust(code)) {
    const message = `what answers at ${url} is not the gateway of the login, or this machine does not trust it (${code})`
    return new AppError('gateway-not-pinned', message, { cause: error, exitCode: EXIT_CONFIG })
  }
  // What mqtt.js cannot read has no code.
  const isForeign = code === undefined && !/timeout/i.test(error.message)
  const message = isForeign
    ? `what answers at ${url} is no MQTT broker (${messageOf(error)}); --url says where`
    : `no gateway at ${url} (${code ?? messageOf(error)}); --url says where`
  return new AppError('unreachable', message, { cause: error, exitCode: EXIT_UNAVAILABLE })
}
