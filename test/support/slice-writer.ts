/**
 * A process that applies entries to a store and says each position once it is on disk, until it is
 * killed. Entry n adds 1 to every LSU of the grid. Arguments: directory, grid as JSON.
 */
import { OperationRunner } from '../../firmware-agent/adapters/operation-runner.ts'
import { SliceStore } from '../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../shared/core/random.ts'
import { EntryStream } from './slice-entries.ts'

const [directory, grid] = process.argv.slice(2) as [string, string]
const limits = { sliceBytesMax: 16 * 1024 * 1024, outboxBytesMax: 65_536 }
const store = await SliceStore.open(directory, limits, new Random(process.pid), () => {
  process.exit(70)
})
if (store.grid === undefined) await store.adopt('ledger', JSON.parse(grid))
const context = store.grid!
const runner = new OperationRunner({ transactionBytesMax: 65_536 }, store)
const stream = new EntryStream(context)
const task = { op: 'add', region: context.geometry.whole, args: { field: 'value', value: 1 } }
const past = store.mark.position
for (;;) {
  const entries = stream.write(task)
  if (entries[0]!.position <= past) continue
  void runner.apply(entries).then(({ mark }) => process.stdout.write(`${mark.position}\n`))
  // Several are always on their way, so that a kill meets one in the middle.
  if (entries[0]!.position % 8 === 0) await runner.exclusively(async () => {})
}
