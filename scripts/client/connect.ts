import { HttpDoor } from '../../shared/client/http-door.ts'
import { Obelisk } from '../../shared/client/obelisk.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { type Context, isSameUrl, readContext } from './context.ts'
import { MqttDoor } from './mqtt-door.ts'
import { mqttLogin } from './mqtt-faults.ts'
import { assertUnseen, gatewayClient, type Login } from './node-carrier.ts'
import { CBOR_FORM } from './payloads.ts'

export type { Cells, Obelisk, Overview } from '../../shared/client/obelisk.ts'
export { ObeliskError } from '../../shared/client/obelisk-error.ts'
export type { Progress, RunOptions, Task, TaskResult } from '../../shared/client/task.ts'

export interface ConnectOptions {
  /** Of a user, as `obelisk user token create` makes them; without it, that of `obelisk login` at this gateway. */
  readonly token?: string
  /** The certificate of the fleet's authority, PEM; goes with `token`. */
  readonly ca?: string
  /** Whose token it is; MQTT wants to know. */
  readonly user?: string
  /** Of topics, where it is not `obelisk/v1`. */
  readonly topicBase?: string
}

/**
 * A fleet, by its gateway: `https://host:8025`, `mqtts://host:8883`, `unix:/…/admin.sock`, or `http://` and `mqtt://` on
 * this machine. Without a URL, the gateway that somebody logged in at. Over HTTP the first question finds out whether
 * there is one, over MQTT this does.
 */
export async function connect(url?: string, options: ConnectOptions = {}): Promise<Obelisk> {
  const login = options.token === undefined ? readContext(process.env) : undefined
  const at = url ?? login?.url
  if (at === undefined || !URL.canParse(at)) {
    const detail =
      at === undefined ? 'no gateway: give its URL, or obelisk login' : `"${at}" is no URL`
    throw new ObeliskError({ code: 'unreachable', detail })
  }
  const isMqtt = /^mqtts?:/.test(at)
  const known = isSameUrl(isMqtt ? login?.mqtt : login?.url, at) ? login : given(options)
  if (!isMqtt) return new Obelisk(new HttpDoor(gatewayClient(at, known), CBOR_FORM))
  if (known !== undefined || new URL(at).username !== '') assertUnseen(at)
  const base = { base: options.topicBase }
  return new Obelisk(await MqttDoor.open(at, known === undefined ? {} : mqttLogin(known), base))
}

function given({
  token,
  ca = '',
  user = '',
}: ConnectOptions): (Login & Pick<Context, 'user'>) | undefined {
  return token === undefined ? undefined : { token, ca, user }
}
