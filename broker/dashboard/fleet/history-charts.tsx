import { useState } from 'preact/hooks'
import {
  HISTORY_METRICS,
  HISTORY_SPANS,
  type HistoryMetric,
  type HistorySpan,
} from '../../../shared/protocol/history.ts'
import { Chart } from '../parts/chart.tsx'
import type { Scale } from '../parts/lines.ts'
import { Segments } from '../parts/segments.tsx'
import { useHistory } from './history.ts'

interface Look {
  readonly name: string
  readonly unit: string
  readonly least: Scale
}

const PERCENT = { unit: '%', least: { low: 0, high: 100 } }
const LOOKS: Readonly<Record<HistoryMetric, Look>> = {
  cpu_percent: { name: 'CPU', ...PERCENT },
  memory_percent: { name: 'memory', ...PERCENT },
  temp_celsius: { name: 'temperature', unit: '°C', least: { low: 20, high: 60 } },
  broker_rtt_ms: { name: 'round trip', unit: 'ms', least: { low: 0, high: 10 } },
  loop_busy_percent: { name: 'agent is busy', ...PERCENT },
  behind: { name: 'behind', unit: 'entries', least: { low: 0, high: 10 } },
}
const SPANS: Readonly<Record<HistorySpan, string>> = { '1h': 'last hour', '24h': 'last day' }

/** Six figures of a node over an hour, or a day. What a board cannot say is left out. */
export function HistoryCharts({ node }: { readonly node: string }) {
  const [span, setSpan] = useState<HistorySpan>('1h')
  const history = useHistory(node, span)
  const known = HISTORY_METRICS.filter((metric) =>
    history?.[metric]?.some((value) => value !== null),
  )
  return (
    <div class="history">
      <Segments
        title="Over which time"
        options={HISTORY_SPANS.map((one) => [one, SPANS[one]])}
        chosen={span}
        choose={(one) => setSpan(one)}
      />
      {history !== undefined && known.length === 0 && (
        <p class="soft">Nothing is known yet: the gateway remembers since its start.</p>
      )}
      <div class="charts">
        {known.map((metric) => (
          <Chart key={metric} values={history![metric]!} {...LOOKS[metric]} />
        ))}
      </div>
    </div>
  )
}
