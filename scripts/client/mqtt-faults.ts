/** Why a gateway does not let an MQTT client in, or why there is none. */
import type { IConnackPacket } from 'mqtt'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import {
  addressHint,
  isOfAddress,
  isOfTls,
  isOfTrust,
  linkWords,
} from '../../shared/runtime/address-hint.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import type { Context } from './context.ts'

/** MQTT 3.1.1 [MQTT-3.2.2-6]: bad user name or password, not authorized. */
const REFUSALS_OF_RIGHTS = [4, 5]

/** The name that agents check, too: the address may be any by which the gateway is reached. */
export function mqttLogin({ user, token, ca }: Pick<Context, 'user' | 'token' | 'ca'>): object {
  return { username: user, password: token, ca, servername: GATEWAY_SERVER_NAME }
}

export function mqttFault(error: Error & { code?: unknown }, url: string): ObeliskError {
  const code = error.code as IConnackPacket['returnCode'] | string | undefined
  if (typeof code === 'number' && REFUSALS_OF_RIGHTS.includes(code)) {
    const detail = `the gateway does not let us in: ${error.message}; obelisk login says who we are`
    return new ObeliskError({ code: 'login-refused', detail, cause: error })
  }
  if (isOfTrust(error)) {
    const detail = `what answers at ${url} is not the gateway of the login, or this machine does not trust it (${linkWords(error)})`
    return new ObeliskError({ code: 'gateway-not-pinned', detail, cause: error })
  }
  // What mqtt.js cannot read has no code.
  const isForeign = code === undefined && !/timeout/i.test(error.message)
  const said = isForeign
    ? `what answers at ${url} is no MQTT broker (${messageOf(error)})`
    : `no gateway at ${url} (${isOfTls(error) ? linkWords(error) : (code ?? messageOf(error))})`
  const hint = isForeign || isOfAddress(error) ? `; ${addressHint(url, 'user')}` : ''
  const detail = `${said}${hint}`
  return new ObeliskError({ code: 'unreachable', detail, cause: error })
}

export function closedBy(url: string, cause?: unknown): ObeliskError {
  const detail = `no gateway at ${url}, or it closed the connection`
  return new ObeliskError({ code: 'unreachable', detail, cause })
}

/** SUBACK's failure code (MQTT 3.1.1, 3.9.3). */
const SUBSCRIPTION_FAILED = 0x80

/** Whether a subscription was refused, as mqtt.js tells it. */
export function isRefusedFilter(
  error: Error | null | undefined,
  granted: readonly { readonly qos: number }[] | undefined,
): boolean {
  if (granted?.some(({ qos }) => qos === SUBSCRIPTION_FAILED)) return true
  return /unspecified error|not authorized/i.test(error?.message ?? '')
}
