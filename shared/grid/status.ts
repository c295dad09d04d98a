/** The status byte of an LSU, and the name that the wire has for each of its values (wire.md). */
export const STATUS_SCALED = 1
export const STATUS_NAMES = ['idle', 'scaled'] as const
