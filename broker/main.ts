/** The gateway's composition root: ledger, coordinator, broker, HTTP; signals; the exit code. */
import { randomId } from '../shared/core/ids.ts'
import { ANYONE, identityOf } from '../shared/protocol/access.ts'
import { withMembers } from '../shared/protocol/json-text.ts'
import { encodeMessage } from '../shared/protocol/messages.ts'
import { REKEY_EXPORTER_BYTES, REKEY_LABEL } from '../shared/protocol/rekey.ts'
import { formatHead } from '../shared/protocol/security-log.ts'
import { buildTopic } from '../shared/protocol/topics.ts'
import { SYSTEM_CLOCK } from '../shared/runtime/clock.ts'
import { AppError } from '../shared/runtime/errors.ts'
import { ExclusiveLock, GATEWAY_FIRST } from '../shared/runtime/exclusive-lock.ts'
import { tellOfLook } from '../shared/runtime/look-teller.ts'
import type { Environment } from '../shared/runtime/option-table.ts'
import { type Running, runProgram } from '../shared/runtime/program.ts'
import { SystemRandom } from '../shared/runtime/system-random.ts'
import { VERSION } from '../shared/runtime/version.ts'
import { keepWatch } from '../shared/runtime/watchdog-timer.ts'
import { DiskWatch } from './adapters/disk-watch.ts'
import { EventLog } from './adapters/event-log.ts'
import { LedgerStore } from './adapters/ledger-store.ts'
import { Metrics } from './adapters/metrics.ts'
import { MqttBroker } from './adapters/mqtt-broker.ts'
import { MqttProbe } from './adapters/mqtt-probe.ts'
import { NodeReports } from './adapters/node-reports.ts'
import { TaskRetention } from './adapters/task-retention.ts'
import { Backups, forgetUnsentBackup } from './backups.ts'
import { bridgeMarks, FleetBridge, filtersOut } from './bridge.ts'
import { brokerOptions } from './broker-options.ts'
import { Clearings } from './clearings.ts'
import { CodexCalls } from './codex-calls.ts'
import { compileSample } from './compile-sample.ts'
import { GATEWAY, type GATEWAY_OPTIONS, type GatewayConfig } from './config.ts'
import { Coordinator, newIdentity, newLedgerId } from './core/coordinator.ts'
import { LEDGER_TABLES } from './core/ledger-records.ts'
import { ChangedRows } from './core/views/changed-rows.ts'
import { History } from './core/views/history.ts'
import { LiveEvents } from './core/views/live-events.ts'
import { GatewayDriver } from './driver.ts'
import { FleetWatch } from './fleet-watch.ts'
import { HistoryWatch } from './history-watch.ts'
import { HomeAssistant } from './home-assistant.ts'
import { HttpCalls } from './http-calls.ts'
import { adminSocket, type HttpDoors, httpDoors } from './http-doors.ts'
import { readingPort } from './inputs.ts'
import { makeKeys } from './keys.ts'
import { NodeLogs } from './node-logs.ts'
import { Notices } from './notices.ts'
import { openPackages } from './packages.ts'
import { retainedLedger } from './retained-ledger.ts'
import { RuleCalls } from './rule-calls.ts'
import {
  forgetLeftOver,
  openSecured,
  saySecurityIsOff,
  watchHosts,
  watchSecurity,
} from './secured.ts'
import { isSecured } from './security.ts'
import { securityEventOf } from './security-notices.ts'
import { soundOptions } from './sound-options.ts'
import { tellSummaries } from './summary.ts'

/** For commands. */
export { restoreFleet } from './restore.ts'
export { checkBackup, restoreLedger } from './restore-ledger.ts'

/** What who was away a moment can be told. */
const KEPT_EVENTS = { keptMax: 500, keptBytesMax: 1024 * 1024 }
/** A page shows a hundred rows at a time. */
const CHANGED_ROWS = { rowsMax: 200, windowMs: 5000, restMs: 5000, pieceMax: 500 }
/** A loop that was busy meets its deadlines a little later. */
const OVERDUE_MAX_MS = 10_000
/** A flush takes seconds at the most, even on a card that erases blocks. */
const DISK_MAX_MS = 45_000
/** The probe connects again within seconds; a gateway that is overloaded answers late, but it answers. */
const PROBE_MAX_MS = 60_000

/** Runs the gateway until it is told to stop; resolves with the exit code. */
export async function run(argv: readonly string[], environment: Environment): Promise<number> {
  if (argv[0] === 'keys') return await makeKeys(argv.slice(1), environment)
  return await runProgram(GATEWAY, argv, environment, (config, running) =>
    start(config, running, adminSocket(environment, config.data)),
  )
}

async function start(
  config: GatewayConfig,
  { file, sources, log, shutdown, fatal, failure, notify }: Running<typeof GATEWAY_OPTIONS>,
  adminPath: string,
): Promise<void> {
  const hasDoor = isSecured(config, sources.security)
  // Whoever recovers was told to by a gateway that runs.
  const remedy = config.recoverNodes === 0 ? undefined : GATEWAY_FIRST
  const lock = await ExclusiveLock.acquire(config.data, remedy)
  shutdown.add('lock', () => lock.release())
  forgetLeftOver(config.data, { log })
  forgetUnsentBackup(config.data)
  const onLook = tellOfLook(notify, log)
  const ledger = await LedgerStore.open(config.data, LEDGER_TABLES, fatal, onLook)
  shutdown.add('ledger', () => ledger.close())
  const events = await EventLog.open({ directory: config.data }, log)
  shutdown.add('event log', () => events.close())

  const contents = ledger.load()
  const random = new SystemRandom()
  const known = contents.meta.find(({ key }) => key === 'identity')?.value
  const { options, ends } = soundOptions(known, config, { file, sources }, hasDoor)
  const coordinator = new Coordinator(
    options,
    known ?? {
      ...newIdentity(options, newLedgerId(random)),
      ...(config.recoverNodes > 0 ? { isRecovering: true } : {}),
    },
    random,
  )
  const view = coordinator.view()
  compileSample()
  const begin = coordinator.start(SYSTEM_CLOCK.now(), contents)
  const clearings = new Clearings(
    contents.clearing,
    { ...config, filtersOut: filtersOut(config), fleet: () => view.fleetId },
    (records) => ledger.write(records),
    log,
  )

  const context = { log, fatal, shutdown }
  const secured = hasDoor
    ? await openSecured(config, context, {
        isNameKnown: (node) => view.stateOf(node) !== undefined,
        hasLeft: (node) => view.stateOf(node) === 'left',
        async revoked(node) {
          broker.endConnectionsOf(node)
          if (view.stateOf(node) !== undefined) await driver.revoke(node)
        },
        keysOut: (node, keys) => broker.endKeys(identityOf({ kind: 'node', node }), keys),
        sendKey: (connection, message) => broker.sendToNode(connection, encodeMessage(message)),
        channelOf: (connection) => broker.channelOf(connection, REKEY_LABEL, REKEY_EXPORTER_BYTES),
        identityChanged(identity, token) {
          if (token === undefined) broker.endIdentity(identity)
          else broker.endKeys(identity, [token])
          http.endOf(token === undefined ? identity : `token/${token}`)
        },
        sessionEnded: (session) => http.endOf(session),
      })
    : undefined
  if (!hasDoor) await saySecurityIsOff(config.data, context)

  const live = new LiveEvents({ ...KEPT_EVENTS, start: randomId(random) })
  const history = new History(config.historyBytesMax)
  const reports = new NodeReports()
  const { metricsNodesMax: nodesMax } = config
  const metrics: Metrics = new Metrics({ version: VERSION, nodesMax }, () => ({
    nodes: calls.nodesInSlices(),
    mqtt: broker.counters(),
    httpRefused: http.refused,
    cellsRefused: view.cellsRefused(),
    security: secured?.security.counts ?? {},
    counts: {
      ...view.counts(),
      connections: broker.counters().clientsConnected,
      eventsDropped: events.dropped,
      diskFreeBytes: disk.freeBytes,
    },
  }))
  const notices = new Notices(log, {
    happened(notice) {
      metrics.recordNotice(notice)
      if (notice.code === 'recovered') bridge.begin()
      const event = secured && securityEventOf(notice, (node) => broker.sourcesOf(node))
      if (event !== undefined) secured?.security.tell(event)
    },
    keep: (ts, notice) => events.append(ts, notice),
    tell(payload) {
      live.happened('event', payload)
      const topic = buildTopic(config.topicBase, { kind: 'gateway-event' })
      broker.publish({ topic, payload, qos: 0, retain: false })
    },
  })
  const logs = new NodeLogs({
    wayTo: (node) => view.logWay(node),
    send: (connection, order) => broker.sendToNode(connection, encodeMessage(order)),
  })
  const driver = new GatewayDriver(
    coordinator,
    options.grid,
    {
      clock: SYSTEM_CLOCK,
      write: (records) => ledger.write(records),
      recordsOf: (publish) => clearings.owedBy(publish),
      send: (connection, payload) => broker.sendToNode(connection, payload),
      admit(connection, node) {
        broker.admit(connection, node)
        secured?.security.rotations.admitted(connection, node)
      },
      key: (connection, node, message) =>
        secured?.security.rotations.take(connection, node, message),
      log: (connection, lines) => logs.take(connection, lines),
      disconnect: (connection, reason) => broker.disconnect(connection, reason),
      probe: (beat) => probe.send(beat),
      isRecipient: (name) => secured?.recipients.has(name) ?? false,
      seal: async (order, unwanted) => {
        if (secured !== undefined) return await secured.recipients.seal(order, unwanted)
        throw new AppError('unknown-recipient', 'only a gateway that is secured seals results')
      },
      publish({ topic, payload, qos, retain, owner, touches }) {
        const named = { topic: buildTopic(config.topicBase, topic), payload, qos, retain }
        broker.publish(owner === undefined ? named : { ...named, owner })
        if (topic.kind === 'node-telemetry-json') {
          reports.forget(topic.node)
          homeAssistant.forget(topic.node)
        }
        if (topic.kind !== 'task-state' || payload.length === 0) return
        const state = withMembers(payload.toString(), touches)
        live.happened('task-state', state, view.ownerOf(topic.task))
      },
      notice: notices.take,
      wrote: ({ regions, seq }) =>
        live.happened('cells', JSON.stringify({ regions, seq, ts: SYSTEM_CLOCK.now().wallMs })),
      upgrade: (change) => live.is('upgrade', JSON.stringify(change)),
    },
    fatal,
  )
  const { upgrades, door } = openPackages(config, log, { driver, view })
  const calls = new HttpCalls({
    upgrades,
    rules: new RuleCalls(options.grid, driver, view),
    codex: new CodexCalls(view, driver),
    logs,
    backups: new Backups({ data: config.data, ledger, configuration: file }, secured?.security),
    grid: options.grid,
    driver,
    view,
    ledger,
    metrics,
    live,
    history,
    topics: () => broker.topics,
    security: secured?.security,
    listeners: () => ({
      mqtt: { host, port: broker.port },
      http: { host: httpHost, port: http.port },
      ...(secured && { admin: adminPath }),
    }),
    reports,
    health: () => {
      const reason = failure()
      const ledgerCheck = reason === undefined ? { ok: true } : { ok: false, detail: reason }
      return {
        ok: ledgerCheck.ok && !shutdown.isClosing,
        checks: { ledger: ledgerCheck, mqtt: { ok: !shutdown.isClosing } },
      }
    },
  })

  const rows = {
    nodeCount: () => view.nodeCount,
    nodesFrom: (first: number, count: number) => calls.nodesFrom(first, count),
  }
  const historyWatch = new HistoryWatch(history, {
    ...{ ...rows, clock: SYSTEM_CLOCK },
    isKnown: (node) => view.isMember(node),
  })
  shutdown.add('history', () => historyWatch.close())
  const fleetWatch = new FleetWatch(live, new ChangedRows(CHANGED_ROWS), {
    ...rows,
    areMovesUnderWay: () => view.areMovesUnderWay,
    moves: () => calls.moves(),
  })
  shutdown.add('fleet watch', () => fleetWatch.close())
  const disk = new DiskWatch({ directory: config.data }, (free) => driver.diskChecked(free))
  // Nobody else can know it.
  const probeId = `probe-${randomId(random)}`
  const marks = bridgeMarks(config)
  const broker = await MqttBroker.start(
    {
      ...brokerOptions(config, secured !== undefined),
      ...(secured === undefined ? { fetch: door } : { secure: { ...secured.door, fetch: door } }),
      probeId,
      ...(marks && { bridge: marks }),
      retainedSource: new TaskRetention(config.topicBase, view, ledger),
      retainedLedger: retainedLedger({ ledger, clearings, disk, notices }),
    },
    {
      onSubmission: ({ payload, skippedBytes, submitter }, done) =>
        driver.submit(payload, submitter, skippedBytes, done),
      ...readingPort(config.inputs, options.grid, driver),
      onCancel: ({ task, submitter }) => driver.cancel(task, submitter),
      onNodeMessage: ({ connection, node, payload }) =>
        driver.receive(connection, node, payload, (from, problem) => {
          log.warn({ code: 'malformed-message', node: from }, problem)
        }),
      onReport(report) {
        const { node, kind } = report
        const fields = reports.take(report)
        if (fields === undefined) {
          log.warn({ code: 'malformed-telemetry', node, kind }, 'telemetry or a birth that is none')
          return
        }
        homeAssistant.heard(node, kind, fields)
        if (kind !== 'node-telemetry') return
        const topic = buildTopic(config.topicBase, { kind: 'node-telemetry-json', node })
        broker.publish({ topic, payload: JSON.stringify(fields), qos: 0, retain: true })
      },
      onNodeConnectionClosed(connection) {
        secured?.security.rotations.closed(connection)
        driver.connectionClosed(connection)
      },
      ownerOf: (task) => view.ownerOf(task),
      ...(secured && { onSecurityEvent: (event) => secured.security.tell(event) }),
    },
    log,
  )
  shutdown.add('broker', async () => {
    const topic = buildTopic(config.topicBase, { kind: 'gateway-state' })
    await driver.stop()
    notices.flush()
    broker.publish({ topic, payload: 'offline', qos: 1, retain: true })
    await broker.close()
  })
  const { host, httpHost } = config
  const { http, admin }: HttpDoors = httpDoors(config, secured, { calls, adminPath }, log)
  await http.listen()
  shutdown.add('http', () => http.close())
  await admin?.listen()
  if (admin !== undefined) shutdown.add('admin socket', () => admin.close())
  if (secured !== undefined) {
    watchHosts(secured, context, (keys) => {
      broker.renew(keys)
      http.renew(keys)
    })
    watchSecurity(secured, context, (head) => {
      const message = 'so far the security log goes: a later one has this line'
      const fields = { head: formatHead(head) }
      notices.take({ level: 'info', code: 'security-head', message, fields })
    })
  }
  const probe = new MqttProbe(
    { host, port: broker.port, id: probeId, ...(secured && { identity: secured.security.probe }) },
    log,
    (beat) => driver.probeReturned(beat),
  )
  shutdown.add('probe', () => probe.close())
  const { homeAssistant: prefix, topicBase: base, tlsNames = [] } = config
  const url = secured && tlsNames[0] && `https://${tlsNames[0]}:${http.port}`
  const homeAssistant = new HomeAssistant(
    { prefix, base, version: VERSION, cells: config.watches, ...(url && { url }) },
    {
      ...{ clock: SYSTEM_CLOCK, random },
      fleet: () => (view.isRecovering ? undefined : view.fleetId),
      isMember: (node) => view.isMember(node),
      publish: (topic, payload) => broker.publish({ topic, payload, qos: 1, retain: true }),
      retained: (filter) => broker.topics.retained(filter),
      follow: (topic, listener) =>
        broker.topics.follow(ANYONE, topic, ({ payload }) => listener(payload.toString())),
    },
  )
  shutdown.add('home assistant', () => homeAssistant.close())
  const ca = secured?.security.probe.ca
  const bridge = new FleetBridge(config, { broker, clearings, ends, marks, view, ca, notices }, log)
  shutdown.add('bridge', () => bridge.close())
  // Only now, with both ports: a start that fails must not make a ledger, which fixes the grid.
  driver.begin(begin)
  shutdown.add('disk watch', () => disk.close())
  await disk.start()
  const summaries = tellSummaries(view, disk, (payload) => {
    const topic = buildTopic(config.topicBase, { kind: 'gateway-summary' })
    broker.publish({ topic, payload, qos: 0, retain: true })
  })
  shutdown.add('summary', summaries)
  homeAssistant.begin()
  await driver.idle()
  const [mqttAt, httpAt] = [`${host}:${broker.port}`, `${httpHost}:${http.port}`]
  process.stderr.write(
    secured === undefined
      ? `ready mqtt=${mqttAt} http=${httpAt}\n`
      : `ready mqtts=${mqttAt} https=${httpAt} admin=${adminPath}\n`,
  )
  const how = secured === undefined ? '' : ' over TLS'
  notify.tell({ READY: '1', STATUS: `MQTT on ${mqttAt}, HTTP on ${httpAt}${how}` })
  const unwatch = keepWatch(notify, log, () => [
    { what: 'the coordinator is overdue', sinceMs: driver.overdueSinceMs, limitMs: OVERDUE_MAX_MS },
    {
      what: 'a write has not reached the disk',
      sinceMs: ledger.waitingSinceMs,
      limitMs: DISK_MAX_MS,
    },
    {
      what: 'no beat came through the broker',
      sinceMs: probe.unansweredSinceMs,
      limitMs: PROBE_MAX_MS,
    },
  ])
  shutdown.add('watchdog', unwatch)
}
