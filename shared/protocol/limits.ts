/**
 * Limits of the wire (wire.md), the same for every program: what a decoder takes before it looks at
 * meaning. What an operator may change stands in the option tables of the programs instead.
 */

const KIB = 1024
const MIB = 1024 * KIB

/** A submission's payload, bytes. */
export const SUBMISSION_BYTES_MAX = MIB
/** A larger submission is skipped and refused as `too-large` up to here; beyond, the client goes. */
export const SUBMISSION_BYTES_SKIPPED_MAX = 16 * MIB
export const ITEMS_MAX = 100_000
export const ITEM_KEY_BYTES_MAX = 256
export const DEADLINE_MS_MAX = 86_400_000
export const DEADLINE_MS_DEFAULT = 60_000
/** A JSON mirror above this says only where the whole is. */
export const JSON_MIRROR_BYTES_MAX = 64 * KIB

/** A message between gateway and node, bytes: one item of a submission may stand alone in it. */
export const MESSAGE_BYTES_MAX = MIB + 64 * KIB

/** Bounds of the check that runs before any CBOR decoder sees bytes. */
export interface CborLimits {
  readonly bytesMax: number
  readonly depthMax: number
  /** Data items, counted over the whole message. */
  readonly itemsMax: number
}

/** A submission of 100,000 items is a list of maps of two entries: five data items each. */
export const SUBMISSION_LIMITS: CborLimits = {
  bytesMax: SUBMISSION_BYTES_MAX,
  depthMax: 8,
  itemsMax: 1_100_000,
}

/** wire.md: a reading is below it. */
export const READING_BYTES_MAX = 64
/** Many readings in one message. */
export const READINGS_MAX = 1000
/** As many of the longest numbers, with spaces. */
export const READINGS_BYTES_MAX = 64 * KIB
/** Of a message that an input of the configuration reads. */
export const INPUT_BYTES_MAX = 64 * KIB
export const READINGS_LIMITS: CborLimits = {
  bytesMax: READINGS_BYTES_MAX,
  depthMax: 2,
  itemsMax: 4 * READINGS_MAX + 1,
}

export const MESSAGE_LIMITS: CborLimits = {
  bytesMax: MESSAGE_BYTES_MAX,
  depthMax: 8,
  itemsMax: 250_000,
}
