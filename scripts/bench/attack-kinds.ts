/** The attacks of attacks.ts, each bounded in count and time; run in a process of their own. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { generate, type Packet } from 'mqtt-packet'
import { own } from '../../shared/core/own.ts'
import { buildTopic, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'
import { clockMs } from './light-node.ts'

export interface Target {
  readonly port: number
  readonly httpPort: number
  readonly seconds: number
}

export const ATTACKS: Readonly<Record<string, (target: Target) => Promise<void>>> = {
  'requests-ahead': (target) => sendRequestsAhead(target, 1),
  'requests-ahead-20': (target) => sendRequestsAhead(target, 20),
  'requests-ahead-again': sendRequestsAheadAgain,
  'silent-http': (target) => openSilent(target, 1024),
  pings: sendPings,
  'absent-readers': leaveUnread,
  wildcards: publishToWildcards,
  refusals: submitNonsense,
}

export async function attack(kind: string, target: Target): Promise<void> {
  const run = own(ATTACKS, kind)
  if (run === undefined) throw new Error(`there is no attack ${kind}`)
  await run(target)
}

async function openHttp({ httpPort }: Target): Promise<Socket> {
  return await opened(connect({ port: httpPort, host: '127.0.0.1' }))
}

async function opened(socket: Socket): Promise<Socket> {
  socket.on('error', () => {})
  await Promise.race([once(socket, 'connect'), once(socket, 'close')])
  return socket
}

async function openMqtt({ port }: Target, clientId: string): Promise<Socket> {
  const socket = await opened(connect({ port, host: '127.0.0.1', noDelay: true }))
  const start = { protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0 } as const
  const accepted = once(socket, 'data')
  socket.write(generate({ cmd: 'connect', clientId, ...start }))
  await accepted
  return socket
}

const METRICS = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'

async function sendRequestsAhead(target: Target, connections: number): Promise<void> {
  for (let opened = 0; opened < connections; opened++) {
    const socket = await openHttp(target)
    socket.resume()
    socket.write(METRICS.repeat(1000))
  }
  await sleep(target.seconds * 1000)
}

/** The same on 20 connections, and on new ones where they are closed. */
async function sendRequestsAheadAgain(target: Target): Promise<void> {
  const untilMs = clockMs() + target.seconds * 1000
  const send = async (): Promise<void> => {
    while (clockMs() < untilMs) {
      const socket = await openHttp(target)
      socket.resume()
      socket.write(METRICS.repeat(1000))
      if (!socket.closed) await Promise.race([once(socket, 'close'), sleep(untilMs - clockMs())])
    }
  }
  await Promise.all(Array.from({ length: 20 }, send))
}

/** As many as there may be, silent, and new ones where they are closed. */
async function openSilent(target: Target, count: number): Promise<void> {
  const untilMs = clockMs() + target.seconds * 1000
  const open = new Set<Socket>()
  while (clockMs() < untilMs) {
    while (open.size < count) {
      const socket = connect({ port: target.httpPort, host: '127.0.0.1' })
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => open.delete(socket))
    }
    await sleep(20)
  }
}

async function sendPings(target: Target): Promise<void> {
  const pings = Buffer.alloc(64 * 1024)
  for (let at = 0; at < pings.length; at += 2) pings[at] = 0xc0
  const untilMs = clockMs() + target.seconds * 1000
  const send = async (number: number): Promise<void> => {
    const socket = await openMqtt(target, `bench-pings-${number}`)
    socket.resume()
    while (clockMs() < untilMs && !socket.destroyed) {
      const isFull = !socket.write(pings)
      // One that is not read any more is waited for, and the time is over some day.
      if (isFull) await Promise.race([once(socket, 'drain'), sleep(untilMs - clockMs())])
      await new Promise(setImmediate)
    }
  }
  await Promise.all(Array.from({ length: 10 }, (_, number) => send(number)))
}

async function subscribe(socket: Socket, filters: readonly string[]): Promise<void> {
  for (let at = 0; at < filters.length; at += 32) {
    const subscriptions = filters.slice(at, at + 32).map((topic) => ({ topic, qos: 0 as const }))
    const acknowledged = once(socket, 'data')
    socket.write(generate({ cmd: 'subscribe', messageId: 1 + at, subscriptions } as Packet))
    await acknowledged
  }
}

/** Publishes `count` messages as fast as they are taken. */
async function publish(socket: Socket, topic: string, count: number, bytes: number): Promise<void> {
  const message = { cmd: 'publish', topic, qos: 0, dup: false, retain: false } as const
  const packet = generate({ ...message, payload: Buffer.alloc(bytes) })
  const many = Buffer.concat(Array.from({ length: 100 }, () => packet))
  for (let sent = 0; sent < count; sent += 100) {
    if (!socket.write(many)) await once(socket, 'drain')
  }
}

/** Five who read nothing of 60,000 messages, and leave. */
async function leaveUnread(target: Target): Promise<void> {
  const readers: Socket[] = []
  for (let number = 0; number < 5; number++) {
    const reader = await openMqtt(target, `bench-reader-${number}`)
    await subscribe(reader, ['bench/unread'])
    reader.pause()
    readers.push(reader)
  }
  const publisher = await openMqtt(target, 'bench-publisher')
  await publish(publisher, 'bench/unread', 60_000, 100)
  await sleep(target.seconds * 500)
  for (const reader of readers) reader.destroy()
  await sleep(target.seconds * 500)
}

/** 15 clients, each with as many filters as it may have, of 12 levels, of which all match one topic. */
async function publishToWildcards(target: Target): Promise<void> {
  const filters = Array.from({ length: 1024 }, (_, number) => {
    const levels = Array.from({ length: 12 }, (_, at) => ((number >> at) & 1 ? '+' : 'a'))
    return levels.join('/')
  })
  for (let number = 0; number < 15; number++) {
    const socket = await openMqtt(target, `bench-wild-${number}`)
    await subscribe(socket, filters)
    socket.resume()
  }
  const publisher = await openMqtt(target, 'bench-publisher')
  await publish(publisher, Array.from({ length: 12 }, () => 'a').join('/'), 500, 10)
  await sleep(target.seconds * 1000)
}

/** Submissions that are none, as fast as they are taken. */
async function submitNonsense(target: Target): Promise<void> {
  const socket = await openMqtt(target, 'bench-nonsense')
  socket.resume()
  const topic = buildTopic(TOPIC_BASE_DEFAULT, { kind: 'task-submit' })
  const untilMs = clockMs() + target.seconds * 1000
  while (clockMs() < untilMs) {
    await publish(socket, topic, 500, 2)
    // Some 7,600 a second, as it was seen.
    await sleep(65)
  }
}
