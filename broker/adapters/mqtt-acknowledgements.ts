/**
 * Which acknowledgement the messages that were sent on one connection wait for: at QoS 1 PUBACK
 * [MQTT-4.3.2-3], at QoS 2 PUBREC, and PUBCOMP after PUBREL [MQTT-4.3.3-2]. Aedes takes any for any.
 */
import { PacketIds } from './mqtt-packet-ids.ts'
import { PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL } from './mqtt-packets.ts'

type Awaited = typeof PUBACK | typeof PUBREC | typeof PUBCOMP

const KINDS = [PUBACK, PUBREC, PUBCOMP] as const

export class Acknowledgements {
  /** Made when there is one: most connections are sent nothing above QoS 0. */
  readonly #ids: Partial<Record<Awaited, PacketIds>> = {}

  /** A packet with an id left. */
  sent(type: number, qos: number, id: number): void {
    if (type === PUBLISH && qos > 0) this.#await(qos === 1 ? PUBACK : PUBREC, id)
    else if (type === PUBREL) this.#await(PUBCOMP, id)
  }

  /** False for an acknowledgement of the wrong kind. One that nobody waits for may just be late. */
  take(type: number, id: number): boolean {
    if (!isAwaited(type)) return true
    const awaited = KINDS.find((kind) => this.#ids[kind]?.has(id))
    // Whoever has not seen the PUBREL may say PUBREC again.
    if (type === PUBREC) return awaited !== PUBACK
    if (awaited === undefined) return true
    return awaited === type && this.#ids[type]!.delete(id)
  }

  #await(kind: Awaited, id: number): void {
    for (const other of KINDS) if (other !== kind) this.#ids[other]?.delete(id)
    this.#ids[kind] ??= new PacketIds()
    this.#ids[kind].add(id)
  }
}

function isAwaited(type: number): type is Awaited {
  return KINDS.some((kind) => kind === type)
}
