/**
 * Loaded into a gateway before its own code (`node --import`), which it leaves as it is: says over the
 * channel to the parent process at which moment each socket of the gateway was seen to end, as the
 * first listener of that socket.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

/** The end of the connection that came from this port; CLOCK_MONOTONIC, ms. */
export interface SocketEnd {
  readonly port: number
  readonly atMs: number
}

subscribe('net.server.socket', (message) => {
  const { socket } = message as { socket: Socket }
  const port = socket.remotePort
  let isSeen = false
  const note = (): void => {
    if (isSeen || port === undefined) return
    isSeen = true
    const end: SocketEnd = { port, atMs: Number(process.hrtime.bigint()) / 1e6 }
    // Later: what the gateway does about it is not to wait for us.
    setImmediate(() => process.send?.(end))
  }
  for (const sign of ['end', 'error', 'close']) socket.prependListener(sign, note)
})
