/**
 * What nodes tell of rules (docs/osl.md, Rules): in which tiles a condition came to be true of some cell, or ceased to be
 * of any. A record is made in the transaction that changed the tiles, and told until it is taken. Of one tile and rule the
 * word with the higher `at` counts, whoever said it: replicas say the same, at their own pace.
 */
import * as v from 'valibot'

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))

/** So that a message has some 32 KiB. */
export const ROWS_PER_RECORD_MAX = 2048
/** Records of one entry. */
export const RECORDS_PER_ENTRY = 4096

/** Columns: `counts` are the cells of a tile for which a rule is true since the write `ats`; 0 is none any more. */
const record = v.pipe(
  v.strictObject({
    /** Ascending; it is of the entry at the position `number / 4096`. */
    number: count,
    /** Of the rule book. */
    version: count,
    rules: v.array(count),
    tiles: v.array(count),
    ats: v.array(count),
    counts: v.array(count),
  }),
  v.check(
    ({ rules, tiles, ats, counts }) =>
      [tiles, ats, counts].every(({ length }) => length === rules.length),
    'columns of one length',
  ),
)

/** The oldest that were not taken, and how many records are `left` then. */
export const ruleChanges = v.strictObject({
  t: v.literal('rule-changes'),
  session: count,
  /** Of the rule book that the node has evaluated on all that it holds. */
  version: count,
  records: v.array(record),
  left: count,
})

/** Records up to this number are in the ledger. */
export const changesTaken = v.strictObject({
  t: v.literal('changes-taken'),
  session: count,
  number: count,
})

export type RuleRecord = v.InferOutput<typeof record>
export type RuleChanges = v.InferOutput<typeof ruleChanges>

/** What an entry at a position changed, in records of a bounded size. */
export function recordsOf(
  position: number,
  version: number,
  { rules, tiles, ats, counts }: Pick<RuleRecord, 'rules' | 'tiles' | 'ats' | 'counts'>,
): RuleRecord[] {
  const records: RuleRecord[] = []
  for (let from = 0; from < rules.length; from += ROWS_PER_RECORD_MAX) {
    const to = from + ROWS_PER_RECORD_MAX
    records.push({
      number: position * RECORDS_PER_ENTRY + records.length,
      version,
      rules: rules.slice(from, to),
      tiles: tiles.slice(from, to),
      ats: ats.slice(from, to),
      counts: counts.slice(from, to),
    })
  }
  return records
}
