import { asWords } from '../format.ts'
import { doubts, refresh } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { confirm } from '../parts/confirm.tsx'
import { ask, may } from '../session.ts'

const trust = (): void =>
  confirm({
    title: 'Trust what the gateway sees?',
    lines: [
      'All its doubts end. Nodes that stay silent are then suspected, and dead after a while: their tiles are copied to others.',
    ],
    verb: 'trust',
    run: async () => {
      await ask('api/detector', { method: 'POST', body: { trust: true } })
      await refresh()
    },
  })

export function Doubts() {
  return (
    <div class="note mild" role="alert">
      <p>
        The gateway doubts its view of the fleet:{' '}
        {doubts.value.map(({ reason, since_ts: ts }) => (
          <span key={reason}>
            {asWords(reason)}, for <Age ts={ts} />.{' '}
          </span>
        ))}
        Until that is over it takes nobody for dead.
      </p>
      {may('operate') && (
        <button type="button" onClick={trust}>
          trust
        </button>
      )}
    </div>
  )
}
