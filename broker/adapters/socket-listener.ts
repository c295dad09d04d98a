/**
 * Tells somebody what happens to a socket, by functions that all sockets share: with functions of its own for each, they
 * would be much of what a quiet connection takes.
 */
import type { Socket } from 'node:net'

export interface SocketListener {
  received(chunk: Buffer): void
  /** The peer is at its end. */
  peerEnded(): void
  /** There is room again. */
  drained(): void
  /** The socket is gone. */
  destroy(): void
}

const LISTENER = Symbol('listener')
type HeardSocket = Socket & { [LISTENER]?: SocketListener | undefined }

const LISTENERS = {
  error(): void {},
  data(this: HeardSocket, chunk: Buffer): void {
    this[LISTENER]?.received(chunk)
  },
  end(this: HeardSocket): void {
    this[LISTENER]?.peerEnded()
  },
  drain(this: HeardSocket): void {
    this[LISTENER]?.drained()
  },
  close(this: HeardSocket): void {
    this[LISTENER]?.destroy()
  },
}

const EVENTS = Object.entries(LISTENERS)

export function listenTo(socket: HeardSocket, listener: SocketListener): void {
  socket[LISTENER] = listener
  for (const [event, tell] of EVENTS) socket.on(event, tell)
}

/** It is another one's from now on. */
export function leaveTo(socket: HeardSocket): void {
  for (const [event, tell] of EVENTS) socket.off(event, tell)
  socket[LISTENER] = undefined
}
