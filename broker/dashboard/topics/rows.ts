/** Messages as the gateway decodes them, and how they are shown. */

export interface TopicRow {
  readonly topic: string
  readonly bytes: number
  readonly retained: boolean
  readonly kind: 'json' | 'text' | 'cbor' | 'bytes' | 'empty'
  /** Left out where it is too large to be shown. */
  readonly value?: unknown
  /** Of one that was published just now, Unix ms. */
  readonly ts?: number
}

const PREVIEW_MAX = 120
export const TAIL_KEPT = 100

/** On one line, with an end. */
export function previewOf({ kind, value }: TopicRow): string {
  if (kind === 'empty') return 'empty'
  if (value === undefined) return 'too large to be shown'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const line = text.replace(/\s+/g, ' ')
  return line.length <= PREVIEW_MAX ? line : `${line.slice(0, PREVIEW_MAX)}…`
}

/** All of it. */
export function wholeOf({ value }: TopicRow): string {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2)
}

/** Whether the preview leaves something out. */
export function isCut(row: TopicRow): boolean {
  return row.value !== undefined && typeof row.value === 'object' && row.value !== null
    ? Object.keys(row.value).length > 0
    : previewOf(row).endsWith('…')
}

/** The newest first. */
export function withNewest(tail: readonly TopicRow[], row: TopicRow): readonly TopicRow[] {
  return [row, ...tail].slice(0, TAIL_KEPT)
}
