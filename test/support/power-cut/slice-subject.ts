/**
 * The slice store under the runner that writes to it: entries, results that are confirmed, answers that
 * are stored, replaced and forgotten, a stop in between, and a wipe, as many at a time as in an agent.
 * After a cut the place in the stream says which state everything must have; expectations come from
 * slice-story.ts.
 */
import { OperationRunner } from '../../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../../firmware-agent/adapters/slice-store.ts'
import { equalBytes } from '../../../shared/core/hash.ts'
import { Random } from '../../../shared/core/random.ts'
import { type Expectation, expectationOf } from './slice-expectation.ts'
import { type AnswerStep, answerOf, SliceStory, STORY_GRID } from './slice-story.ts'
import type { Fact, Subject } from './subject.ts'

const MIB = 1024 * 1024
const LIMITS = { sliceBytesMax: 8 * MIB, outboxBytesMax: MIB, diskFreeBytesMin: MIB }
/** Ledgers that the store belongs to, one after the other; a wipe is between them. */
const LEDGERS = 3
/** Small transactions, and many of them. */
const RUNNER = { transactionBytesMax: 16 * 1024 }

async function open(directory: string, random: Random): Promise<SliceStore> {
  return await SliceStore.open(directory, LIMITS, random, (error) => {
    throw error
  })
}

export const SLICE: Subject = {
  async record(directory, seed, say) {
    const random = new Random(seed)
    let store = await open(directory, random)
    say({ what: 'opened', storeId: store.identity.storeId, boot: store.identity.boot })
    for (let ledger = 1; ledger <= LEDGERS; ledger++) {
      say({ what: 'adopting', ledger })
      await store.adopt(`ledger-${ledger}`, STORY_GRID)
      say({ what: 'adopted', ledger })
      const story = SliceStory.of(seed, ledger)
      const half = Math.floor(story.steps.length / 2)
      await play(store, story.steps.slice(0, half), random, say)
      await store.close()
      store = await open(directory, random)
      say({ what: 'opened', storeId: store.identity.storeId, boot: store.identity.boot })
      await play(store, story.steps.slice(half), random, say)
      if (ledger === LEDGERS) break
      say({ what: 'wiping' })
      const { storeId } = await new OperationRunner(RUNNER, store).exclusively(() => store.wipe())
      say({ what: 'wiped', storeId })
    }
    await store.close()
  },

  async judge(directory, seed, facts) {
    const store = await open(directory, new Random(seed + 1))
    try {
      if (store.setAside !== undefined) return `it was set aside: ${store.setAside}`
      return (
        problemOf(store, seed, expectationOf(facts)) ?? (await writeAgain(store, seed, directory))
      )
    } finally {
      await store.close()
    }
  },
}

/** Some steps at the same time, as many as come before a draw says to wait. */
async function play(
  store: SliceStore,
  steps: SliceStory['steps'],
  random: Random,
  say: (fact: Fact) => void,
): Promise<void> {
  const runner = new OperationRunner(RUNNER, store)
  let open: Promise<void>[] = []
  for (const step of steps) {
    if (step.kind === 'apply') {
      open.push(
        runner.apply(step.entries).then(({ mark }) => {
          say({ what: 'applied', position: mark.position })
        }),
      )
    } else if (step.kind === 'answer') {
      say({ what: 'answering', ...step })
      open.push(store.storeAnswers([answerOf(step)]).then(() => say({ what: 'answered', ...step })))
    } else if (step.kind === 'forget') {
      say({ what: 'forgetting', part: step.part })
      store.forgetAnswers([{ task: 'read', part: step.part }])
    } else {
      const position = Math.max(0, store.mark.position - step.behind)
      say({ what: 'confirming', position })
      store.forgetResults(position)
    }
    if (random.integer(3) !== 0) continue
    await Promise.all(open)
    open = []
  }
  await Promise.all(open)
}

function problemOf(store: SliceStore, seed: number, expected: Expectation): string | undefined {
  const { identity, mark } = store
  const ledger = identity.ledgerId === null ? 0 : Number(identity.ledgerId.split('-')[1])
  if (!expected.ledgers.includes(ledger)) {
    return `it belongs to ledger ${ledger}, and not to ${expected.ledgers.join(' or ')}`
  }
  if (identity.boot < expected.bootMin) return `boot ${identity.boot} is below ${expected.bootMin}`
  const isOwn = expected.storeId === undefined || identity.storeId === expected.storeId
  if (!isOwn && !expected.mayBeWiped) return `store ${identity.storeId} is another`
  if (ledger === 0) return emptinessProblem(store)
  // Of a ledger that was only begun, nothing was acknowledged yet.
  const isAcknowledged = ledger === expected.ledgers[0]
  const least = isAcknowledged ? expected.position : 0
  if (mark.position < least) return `lost: it stands at ${mark.position}, ${least} was applied`
  const story = SliceStory.of(seed, ledger)
  const entry = story.entries[mark.position - 1]
  if (mark.position > 0 && entry === undefined) return `there is no position ${mark.position}`
  if (mark.seq !== (entry?.seq ?? 0)) return `sequence ${mark.seq} at position ${mark.position}`
  if (entry !== undefined && !equalBytes(mark.chain, entry.chain)) return 'its chain is another'
  return (
    pagesProblem(store, story, mark.position) ??
    resultsProblem(store, story, isAcknowledged ? expected.confirmed : 0) ??
    answersProblem(store, isAcknowledged ? expected : { ...expected, answers: [] })
  )
}

function emptinessProblem(store: SliceStore): string | undefined {
  const { tiles } = store.stats()
  const counts = [
    store.mark.position,
    tiles,
    store.stored.results.length,
    store.stored.answers.length,
  ]
  return counts.every((count) => count === 0) ? undefined : `it is not empty: ${counts}`
}

function pagesProblem(store: SliceStore, story: SliceStory, position: number): string | undefined {
  const { geometry, fields } = store.grid!
  for (let tile = 0; tile < geometry.tiles; tile++) {
    const expected = story.tileAt(tile, position)
    const page = store.readPage(tile)
    if ((page === undefined) !== (expected === undefined)) return `tile ${tile} at ${position}`
    if (page === undefined || expected === undefined) continue
    if (page.at !== expected.seq) return `tile ${tile} is at ${page.at}, not at ${expected.seq}`
    const isEqual = fields.every((_field, index) =>
      expected.columns[index]!.every((value, at) => page.column(index)[at] === value),
    )
    if (!isEqual) return `tile ${tile} at sequence ${page.at} holds other values`
  }
  return undefined
}

/** Those of all entries that are applied, but for the first ones that were confirmed. */
function resultsProblem(
  store: SliceStore,
  story: SliceStory,
  confirmed: number,
): string | undefined {
  const results = store.stored.results
  const { position } = store.mark
  const first = results[0]?.position ?? position + 1
  if (first > confirmed + 1) return `lost: the result of ${confirmed + 1}, it begins at ${first}`
  const expected = Array.from({ length: position + 1 - first }, (_, index) => ({
    position: first + index,
    lsus: story.lsusOf(first + index),
  }))
  const text = JSON.stringify(results)
  return text === JSON.stringify(expected) ? undefined : `results at ${position}: ${text}`
}

function answersProblem(store: SliceStore, expected: Expectation): string | undefined {
  const found = store.stored.answers
  for (const answer of found) {
    const step: AnswerStep = { kind: 'answer', part: answer.part, attempt: answer.attempt }
    if (!expected.begun.has(`${step.part}/${step.attempt}`)) return `a strange answer ${step.part}`
    if (JSON.stringify(answer) !== JSON.stringify(answerOf(step))) return `answer ${step.part}`
  }
  for (const { part, attempt } of expected.answers) {
    if (found.some((answer) => answer.part === part && answer.attempt >= attempt)) continue
    return `lost: attempt ${attempt} of answer ${part}`
  }
  return undefined
}

/** The stream goes on, and another start finds it there. */
async function writeAgain(
  store: SliceStore,
  seed: number,
  directory: string,
): Promise<string | undefined> {
  if (store.identity.ledgerId === null) await store.adopt('ledger-1', STORY_GRID)
  const story = SliceStory.of(seed, Number(store.identity.ledgerId!.split('-')[1]))
  const next = story.entries.slice(store.mark.position, store.mark.position + 3)
  if (next.length > 0) await new OperationRunner(RUNNER, store).apply(next)
  await store.storeAnswers([answerOf({ kind: 'answer', part: 'again', attempt: 1 })])
  const { position } = store.mark
  await store.close()
  const second = await open(directory, new Random(seed + 2))
  try {
    if (second.mark.position !== position) return `written again to ${position}, and lost`
    if (!second.stored.answers.some(({ part }) => part === 'again')) return 'a new answer is lost'
    return pagesProblem(second, story, position)
  } finally {
    await second.close()
  }
}
