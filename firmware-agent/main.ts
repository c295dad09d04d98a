/** The agent's composition root: configuration, store, core, connection; signals; the exit code. */

import { existsSync, readFileSync } from 'node:fs'
import { arch, availableParallelism, hostname, totalmem } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { assert } from '../shared/core/assert.ts'
import { isNodeId, randomId } from '../shared/core/ids.ts'
import { PACKED_FORMAT } from '../shared/grid/page-layout.ts'
import { OPERATION_NAMES } from '../shared/operations/catalog.ts'
import { LOG_LINES_MAX } from '../shared/protocol/log-line.ts'
import { REKEY_EXPORTER_BYTES, REKEY_LABEL } from '../shared/protocol/rekey.ts'
import { buildTopic, nodeClientId } from '../shared/protocol/topics.ts'
import { architectureOf } from '../shared/runtime/architecture.ts'
import { SYSTEM_CLOCK } from '../shared/runtime/clock.ts'
import { ExclusiveLock } from '../shared/runtime/exclusive-lock.ts'
import { tellOfLook } from '../shared/runtime/look-teller.ts'
import type { Environment } from '../shared/runtime/option-table.ts'
import { type Running, runProgram } from '../shared/runtime/program.ts'
import { SystemRandom } from '../shared/runtime/system-random.ts'
import { VERSION } from '../shared/runtime/version.ts'
import { keepWatch } from '../shared/runtime/watchdog-timer.ts'
import { DeviceMetrics } from './adapters/device-metrics.ts'
import { checkUrl, comeByIdentity, isSecure, notEnrolled } from './adapters/enrolment.ts'
import { IdleCollection, ownHeap } from './adapters/idle-collection.ts'
import { KeyRotation } from './adapters/key-rotation.ts'
import { LogMemory } from './adapters/log-memory.ts'
import { MqttLink } from './adapters/mqtt-client.ts'
import { OperationRunner } from './adapters/operation-runner.ts'
import { SliceStore } from './adapters/slice-store.ts'
import { StagedUpgrades } from './adapters/staged-upgrades.ts'
import { AGENT, type AGENT_OPTIONS, type AgentConfig, idDoubt } from './config.ts'
import { Agent } from './core/agent.ts'
import type { Standing } from './core/session.ts'
import { AgentDriver } from './driver.ts'

const ANSWER_TIMEOUT_MS = 10_000
const BACKOFF = { baseMs: 1000, capMs: 60_000 }
/** A loop that was busy meets its deadlines a little later. */
const OVERDUE_MAX_MS = 10_000
/** A card that erases blocks may take seconds for a flush. */
const DISK_MAX_MS = 45_000

/** Runs the agent until it is told to stop; resolves with the exit code. */
export async function run(argv: readonly string[], environment: Environment): Promise<number> {
  if (argv[0] === 'enroll') {
    const { enrolByHand } = await import('./enroll.ts')
    return await enrolByHand(argv.slice(1), environment)
  }
  // The young generation stays small: it is worth 15 MB after work on a whole slice.
  setFlagsFromString('--semi-space-growth-factor=1')
  const lines = new LogMemory()
  return await runProgram(
    ...([AGENT, argv, environment] as const),
    (config, running) => start(config, running, environment, lines),
    (level, line) => lines.add(level, line),
  )
}

async function start(
  config: AgentConfig,
  running: Running<typeof AGENT_OPTIONS>,
  environment: Environment,
  lines: LogMemory,
): Promise<void> {
  const { sources, log, shutdown, fatal, notify } = running
  const node = config.id
  assert(isNodeId(node), 'the configuration checks the id')
  checkUrl(config.url)
  const doubt = sources.id === 'default' ? idDoubt(hostname()) : undefined
  if (doubt !== undefined) {
    log.warn({ code: 'id-not-given', node }, `${doubt}: give this node an --id of its own`)
  }
  const random = new SystemRandom()

  const lock = await ExclusiveLock.acquire(config.data)
  shutdown.add('lock', () => lock.release())
  const pace = { backoff: BACKOFF, random }
  const identity = await comeByIdentity({ config, node, environment, running, pace })
  if (shutdown.isClosing) return
  if (identity === undefined && isSecure(config)) throw notEnrolled(config)
  const { sliceBytesMax, outboxBytesMax } = config
  const bounds = { sliceBytesMax, outboxBytesMax, onLook: tellOfLook(notify, log) }
  const store = await SliceStore.open(config.data, bounds, random, fatal)
  shutdown.add('store', () => store.close())
  if (store.setAside !== undefined) {
    const isGone = !existsSync(store.setAside)
    const place = isGone ? 'removed, since the disk has no room for both' : 'set aside'
    log.error(
      { code: 'store-set-aside', path: store.setAside },
      `the store was damaged, and is ${place}; starting empty`,
    )
  }
  const runner = new OperationRunner({}, store)
  const metrics = new DeviceMetrics({ diskPath: config.data })
  shutdown.add('metrics', () => metrics.close())
  const heap = ownHeap()
  if (heap !== undefined) {
    const collection = new IdleCollection(heap, runner)
    shutdown.add('idle collection', () => collection.close())
  }

  const outcomes = environment.UPGRADE_DIRECTORY
  const upgrades =
    config.upgrade && outcomes
      ? new StagedUpgrades(
          {
            ...{ url: config.url, folder: join(config.data, 'upgrade'), outcomes, random },
            ...{ version: VERSION, architecture: architectureOf(arch()) },
            ...(identity === undefined ? {} : { identity: () => identity.shown }),
          },
          log,
        )
      : undefined
  shutdown.add('upgrades', () => upgrades?.close())
  const processId = randomId(random)
  const agent = new Agent(
    {
      node,
      process: processId,
      weight: config.weight,
      sliceBytesMax,
      operations: OPERATION_NAMES,
      logs: LOG_LINES_MAX,
      pages: PACKED_FORMAT,
      telemetryIntervalMs: config.telemetryIntervalSeconds * 1000,
      outboxBytesMax,
      birth: birthFacts(),
      backoff: BACKOFF,
      answerTimeoutMs: ANSWER_TIMEOUT_MS,
      ...(upgrades === undefined ? {} : { upgrade: upgrades }),
    },
    store.stored,
    random,
  )
  let stopped: () => void = () => {}
  const hasStopped = new Promise<void>((resolve) => {
    stopped = resolve
  })
  const driver: AgentDriver = new AgentDriver(
    { node, topicBase: config.topicBase },
    agent,
    { clock: SYSTEM_CLOCK, store, runner, metrics, log },
    {
      ready: () => process.stderr.write(`ready node=${node} url=${config.url}\n`),
      link: (standing) => notify.tell({ STATUS: statusOf(config, standing) }),
      key: (message, answer) => rotation?.receive(message, answer),
      upgrade: (order, answer) => upgrades?.take(order, answer),
      log: (order) => lines.answer(processId, order),
      exit(code, reason) {
        stopped()
        void shutdown.begin(reason, code)
      },
      fatal,
    },
  )
  const link = new MqttLink(
    {
      url: config.url,
      clientId: nodeClientId(node, processId),
      ...(identity === undefined ? {} : { identity: () => identity.shown }),
      will: {
        topic: buildTopic(config.topicBase, { kind: 'node-state', node }),
        payload: 'offline',
      },
      keepaliveSeconds: config.keepaliveSeconds,
      subscriptions: [{ topic: buildTopic(config.topicBase, { kind: 'node-down', node }), qos: 0 }],
    },
    {
      onConnected() {
        identity?.admitted()
        driver.deliver({ type: 'connected' })
      },
      onDisconnected: (reason, isRefused) => {
        const isRevoked = isRefused && !identity?.refused()
        driver.deliver({ type: 'disconnected', reason, isRevoked })
      },
      onMessage: (_topic, payload) => driver.received(payload),
    },
  )
  const channel = {
    exported: () => link.exported(REKEY_LABEL, REKEY_EXPORTER_BYTES),
    disconnect: (reason: string) => link.disconnect(reason),
  }
  const rotation = identity && new KeyRotation(node, identity, channel, log)
  shutdown.add('connection', async () => {
    driver.deliver({ type: 'stop-requested' })
    await hasStopped
    driver.stopTimer()
    await link.close()
  })
  log.info({ node, data: config.data, boot: store.identity.boot }, 'agent started')
  driver.begin(link)
  // A board without a gateway has started: it looks for one.
  notify.tell({ READY: '1', STATUS: statusOf(config, 'waiting') })
  const unwatch = keepWatch(notify, log, () => [
    { what: 'the link has not moved', sinceMs: driver.overdueSinceMs, limitMs: OVERDUE_MAX_MS },
    {
      what: 'a write has not reached the disk',
      sinceMs: store.waitingSinceMs,
      limitMs: DISK_MAX_MS,
    },
  ])
  shutdown.add('watchdog', unwatch)
}

function statusOf({ id, url }: AgentConfig, standing: Standing): string {
  if (standing === 'joined') return `joined ${url} as ${id}`
  if (standing === 'waiting') return `waiting for ${url}`
  return `refused: revoked; to have it back: a new token, then obelisk agent enroll --again`
}

function birthFacts(): Record<string, unknown> {
  const board = boardName()
  return {
    version: VERSION,
    arch: arch(),
    ...(board === undefined ? {} : { board }),
    cores: availableParallelism(),
    mem_total_bytes: totalmem(),
  }
}

/** The device tree names the board; other machines have none. */
function boardName(): string | undefined {
  try {
    return readFileSync('/proc/device-tree/model', 'latin1').replace(/\0+$/, '')
  } catch {
    return undefined
  }
}
