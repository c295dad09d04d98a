import type { GatewayClient } from '../../shared/client/http.ts'
import type { DetectorView } from '../../shared/protocol/views.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { printable, type Streams } from './streams.ts'

/** `gateway trust`. */
export async function trust(
  gateway: GatewayClient,
  streams: Streams,
  flags: { readonly json?: boolean },
): Promise<number> {
  const before = await gateway.json<DetectorView>({ path: '/api/detector' })
  const after = await gateway.json<DetectorView>({
    method: 'POST',
    path: '/api/detector',
    body: { trust: true },
  })
  const reasons = before.doubts.map(({ reason }) => printable(reason)).join(', ')
  const text = reasons === '' ? 'there was no doubt' : `no more doubt for ${reasons}`
  streams.stdout.write(`${flags.json ? JSON.stringify(after) : text}\n`)
  return EXIT_DONE
}
