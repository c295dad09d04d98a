/** A broker on a free port, the gateway behind it, and clients that end with the test. */

import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import type { Test } from 'tap'
import {
  MqttBroker,
  type MqttBrokerPort,
  type ReadingMessage,
  type Submission,
} from '../../broker/adapters/mqtt-broker.ts'
import type { ForeignMessage } from '../../broker/adapters/mqtt-hooks.ts'
import type { MqttBrokerOptions } from '../../broker/adapters/mqtt-options.ts'
import type { NodeReport } from '../../broker/adapters/node-reports.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { RawMqttClient } from './raw-mqtt-client.ts'

/** The gateway's side of the port, which writes down what it is told. */
export class Gateway implements MqttBrokerPort {
  readonly submissions: { submission: Submission; done: () => void }[] = []
  readonly readings: { readonly message: ReadingMessage; readonly done?: () => void }[] = []
  readonly foreign: { readonly message: ForeignMessage; readonly done?: () => void }[] = []
  readonly cancels: TaskId[] = []
  readonly nodeMessages: string[] = []
  readonly reports: string[] = []
  readonly closed: string[] = []
  answersAtOnce = true
  /** There is something in each message of others. */
  readsAll = false

  onSubmission(submission: Submission, done: () => void): void {
    this.submissions.push({ submission, done })
    if (this.answersAtOnce) done()
  }

  onReadings(message: ReadingMessage, done?: () => void): void {
    this.readings.push({ message, ...(done && { done }) })
    if (this.answersAtOnce) done?.()
  }

  onForeign(message: ForeignMessage, done?: () => void): boolean {
    if (!this.readsAll) return false
    this.foreign.push({ message, ...(done && { done }) })
    if (this.answersAtOnce) done?.()
    return true
  }

  onCancel({ task }: { task: TaskId }): void {
    this.cancels.push(task)
  }

  onNodeMessage(message: { connection: string; node: NodeId; payload: Uint8Array }): void {
    this.nodeMessages.push(`${message.node} ${Buffer.from(message.payload)}`)
  }

  onReport({ node, kind, payload }: NodeReport): void {
    this.reports.push(`${node} ${kind} ${Buffer.from(payload)}`)
  }

  onNodeConnectionClosed(connection: string): void {
    this.closed.push(connection)
  }
}

export interface BrokerBench {
  broker: MqttBroker
  gateway: Gateway
  /** Of its log. */
  warnings: { readonly fields: object; readonly message: string }[]
  raw(parts?: Parameters<typeof RawMqttClient.connected>[1]): Promise<RawMqttClient>
  mqtt(options?: IClientOptions): Promise<MqttClient>
}

export async function brokerBench(t: Test, options: MqttBrokerOptions = {}): Promise<BrokerBench> {
  const gateway = new Gateway()
  const warnings: BrokerBench['warnings'] = []
  const [quiet, warn] = [
    () => {},
    (fields: object, message: string) => void warnings.push({ fields, message }),
  ]
  const logger = { debug: quiet, info: quiet, warn, error: quiet }
  const broker = await MqttBroker.start({ port: 0, ...options }, gateway, logger)
  t.teardown(() => broker.close())
  return {
    broker,
    gateway,
    warnings,
    async raw(parts) {
      const client = await RawMqttClient.connected(broker.port, parts)
      t.teardown(() => client.end())
      return client
    },
    async mqtt(options) {
      const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
        protocolVersion: 4,
        writeCache: false,
        reconnectPeriod: 0,
        ...options,
      })
      client.on('error', () => {})
      t.teardown(() => client.end(true))
      return client
    },
  }
}

/** What a client receives, as `topic payload`, with `R` for retained. */
export function listen(client: MqttClient, heard: string[] = []): string[] {
  client.on('message', (topic, payload, { retain }) => {
    heard.push(`${topic} ${payload.length > 80 ? payload.length : payload}${retain ? ' R' : ''}`)
  })
  return heard
}
