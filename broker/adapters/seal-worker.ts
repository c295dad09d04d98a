/** The program of a thread that seals (sealer.ts): one answer to each order. */
import { parentPort } from 'node:worker_threads'
import type { Sealed } from '../../shared/protocol/sealed.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { mlDsa65 } from '../../shared/runtime/post-quantum.ts'
import { type SealOrder, seal } from '../../shared/runtime/sealing.ts'
import { xWingEncapsulate } from '../../shared/runtime/x-wing.ts'

export type Order =
  | { readonly what: 'seal'; readonly order: SealOrder }
  /** Whether something can be sealed to this key. */
  | { readonly what: 'try'; readonly publicKey: Uint8Array }
  /** The public key of the one that signs. */
  | { readonly what: 'signer'; readonly seed: Uint8Array }

export type Answer =
  | { readonly ok: true; readonly value: Sealed | Uint8Array | undefined }
  | { readonly ok: false; readonly message: string }

async function obey(order: Order): Promise<Sealed | Uint8Array | undefined> {
  if (order.what === 'seal') return await seal(order.order)
  if (order.what === 'signer') return await mlDsa65().publicKeyOf(order.seed)
  await xWingEncapsulate(order.publicKey)
  return undefined
}

parentPort!.on('message', (order: Order) => {
  obey(order).then(
    (value) => {
      const isLarge = value !== undefined && 'body' in value
      const moved = isLarge ? [value.body.buffer as ArrayBuffer] : []
      parentPort!.postMessage({ ok: true, value } satisfies Answer, moved)
    },
    (error: unknown) => {
      parentPort!.postMessage({ ok: false, message: messageOf(error) } satisfies Answer)
    },
  )
})
