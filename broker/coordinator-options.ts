/** What the coordinator is made with: the options of the gateway, and times that nobody has to choose. */
import { Geometry } from '../shared/grid/geometry.ts'
import { VERSION } from '../shared/runtime/version.ts'
import { assertCells, watchedCells } from './cells-of-file.ts'
import type { GatewayConfig } from './config.ts'
import type { CoordinatorOptions } from './core/coordinator.ts'

const RESEND_MS = 3000
/** Their messages are made and written in a few ms; and of fewer parts, each may as well be one of its own. */
const FLAT_MIN = 256
/** Long enough for boards that start together; a task waits this long for the last of them. */
const SETTLE_MS = 500
const GRACE_MS = 10_000
/** Agents are back within about this long, and may have answers with them. */
const RETURN_GRACE_MS = 2500
const COPY_TIMEOUT_MS = 5000
/** 64 tiles each time: a grid of 4,096 tiles in eleven minutes, one of 262,144 in half a day. */
const SCRUB_MS = 10_000
const MOVE_DEADLINE_MS = 300_000
/** An agent sleeps a minute at most before it connects again; the rest is for that. */
const RECONNECT_MS = 65_000
const HOUR_MS = 3_600_000

/** Throws ConfigError where the file names cells that the grid does not have. */
export function coordinatorOptions(
  config: GatewayConfig,
  file: string | undefined,
): CoordinatorOptions {
  const { retentionHours, grid: size, tile, fields, watches, ...rest } = config
  const grid = { geometry: new Geometry({ ...size, tile }), fields }
  assertCells(config, grid, file)
  return {
    ...rest,
    version: VERSION,
    grid,
    watches: watchedCells(watches, grid),
    retentionMs: retentionHours * HOUR_MS,
    resendMs: RESEND_MS,
    flatMin: FLAT_MIN,
    copyTimeoutMs: COPY_TIMEOUT_MS,
    scrubMs: SCRUB_MS,
    moveDeadlineMs: MOVE_DEADLINE_MS,
    settleMs: SETTLE_MS,
    graceMs: GRACE_MS,
    returnGraceMs: RETURN_GRACE_MS,
    reconnectMs: RECONNECT_MS,
  }
}
