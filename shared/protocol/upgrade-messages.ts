/**
 * What gateway and node say to each other of another version of the agent (messages.ts). The package itself does not come
 * by MQTT: the node fetches it at the door of `obelisk-fetch/1`. The core of the agent knows nothing of all this.
 */
import * as v from 'valibot'

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))
const text = v.pipe(v.string(), v.maxLength(1024))

export function isPackageName(input: unknown): input is string {
  return typeof input === 'string' && /^[0-9a-f]{64}$/.test(input)
}

/** The SHA-256 of its bytes, hexadecimal. */
const packageName = v.custom<string>(isPackageName, 'the name of a package')

/** Of one order to install, so that what became of the one before is not taken for what becomes of this one. */
const attempt = v.pipe(v.string(), v.maxLength(64))

/** What became of a package that the node was told to install; `code` says why it does not run. */
const upgradeOutcome = v.strictObject({
  sha256: packageName,
  /** As the order had it; none of an order that had none. */
  attempt: v.optional(attempt),
  outcome: v.picklist(['ready', 'went-back', 'refused']),
  code: v.optional(text),
})

/** In the hello of a node that takes versions from its gateway: what it runs, and what became of the last package. */
export const program = v.strictObject({
  version: text,
  architecture: text,
  /** It says of which attempt an outcome is; who does not say so here is given no attempts. */
  attempts: v.optional(v.boolean()),
  outcome: v.optional(upgradeOutcome),
})

/** The package lies on the node's disk, whole; or it cannot be had, and why. */
export const fetched = v.strictObject({
  t: v.literal('fetched'),
  sha256: packageName,
  error: v.optional(v.strictObject({ code: text, message: text })),
})

/** What became of a package, where the process that was told to install it still runs. */
export const upgraded = v.strictObject({ t: v.literal('upgraded'), outcome: upgradeOutcome })

/** Get this package, then wait for more, or have it installed. */
export const upgrade = v.strictObject({
  t: v.literal('upgrade'),
  version: text,
  sha256: packageName,
  bytes: count,
  next: v.picklist(['wait', 'install']),
  attempt: v.optional(attempt),
})

export type UpgradeOutcome = v.InferOutput<typeof upgradeOutcome>
export type UpgradeOrder = v.InferOutput<typeof upgrade>
export type UpgradeUp = v.InferOutput<typeof fetched> | v.InferOutput<typeof upgraded>
