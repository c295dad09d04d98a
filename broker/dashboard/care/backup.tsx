import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { save } from '../parts/save.ts'
import { answerTo } from '../session.ts'

const TYPE = 'application/x-tar'
/** A ledger of gigabytes over a slow network. */
const TIMEOUT_MS = 3_600_000

/** What the gateway alone knows, as a file; with keys it is made by obelisk backup. */
export function Backup() {
  const { run, isBusy, problem } = useOrder()
  const make = (): void =>
    void run(async () => {
      const order = { method: 'POST', accept: TYPE, body: {}, timeoutMs: TIMEOUT_MS } as const
      const { body } = await answerTo('api/backup', order)
      save('obelisk-backup.tar', TYPE, body)
    })
  return (
    <div class="panel spaced">
      <p>The ledger as a file, without keys and cells: those are on the boards.</p>
      <button type="button" disabled={isBusy} onClick={make}>
        make a backup
      </button>
      <Problem of={problem} />
    </div>
  )
}
