import { count } from './checks.ts'
import type { Ink } from './colours.ts'
import { type Ports, pageOf } from './fleet.ts'
import { type Findings, formatMs } from './story.ts'

/** The table at the end, and what was checked. */
export function summaryOf(findings: Findings, ink: Ink): string[] {
  const rows = rowsOf(findings)
  const width = Math.max(...rows.map(([name]) => name.length))
  return [
    ...rows.map(([name, value, remark]) => {
      const text = `  ${name.padEnd(width)}  ${ink.stress('bold', value.padStart(8))}`
      return remark === '' ? text : `${text}   ${ink.stress('dim', remark)}`
    }),
    '',
    ...findings.checks.map(({ name, problem }) =>
      problem === undefined
        ? `  ${ink.stress('good', '✓')} ${name}`
        : `  ${ink.stress('bad', '✗')} ${name}: ${problem}`,
    ),
  ]
}

function rowsOf(findings: Findings): [name: string, value: string, remark: string][] {
  const { tasks, resent, reissued, killed, reissueMs, startedMs, answerMs, resultMs } = findings
  const stats = tasks.filter(({ request }) => request.op === 'stat').length
  const adds = tasks.filter(({ request }) => request.op === 'add').length
  const others = tasks.length - stats - adds
  const accepted = tasks.filter(({ acceptedMs }) => acceptedMs !== undefined).length
  return [
    [
      'tasks accepted',
      count(accepted),
      `${count(stats)} stat, ${count(adds)} add, ${others} others`,
    ],
    ['submissions sent again', count(resent), 'same id, so the same task'],
    ['shards re-issued', count(reissued), 'reads that went elsewhere'],
    [`${killed} killed → first shard re-issued`, formatMs(reissueMs), ''],
    ['gateway killed → ready again', formatMs(startedMs), 'restarted at once'],
    ['gateway killed → next answer', formatMs(answerMs), 'a client waits between attempts'],
    ['gateway killed → next write done', formatMs(resultMs), 'the agents are back'],
    ...copiesOf(findings),
  ]
}

function copiesOf({ tasks, killed }: Findings): [string, string, string][] {
  const counts = new Map<number, number>()
  for (const { request, result } of tasks) {
    if (request.op !== 'add' || result?.copies === undefined) continue
    counts.set(result.copies, (counts.get(result.copies) ?? 0) + 1)
  }
  return [...counts]
    .sort((a, b) => b[0] - a[0])
    .map(([copies, adds]) => [
      copies === 1 ? 'adds completed with 1 copy' : `adds completed with ${copies} copies`,
      count(adds),
      copies === 1 ? `while ${killed} was away` : '',
    ])
}

/** How to talk to the fleet that is left running, with its ports. */
export function keepLines({ mqtt, http }: Ports, killed: string): string[] {
  const at = `-h 127.0.0.1 -p ${mqtt}`
  const task = `{"id":"rain-1","op":"stat","args":{"field":"precip","bins":8}}`
  return [
    '',
    `The fleet goes on, and ${killed} is back. In a browser:`,
    '',
    `    ${pageOf(http)}`,
    '',
    'From another terminal:',
    '',
    '  watch it',
    `    mosquitto_sub ${at} -v -t 'obelisk/v1/gateway/+' -t 'obelisk/v1/node/+/telemetry/json'`,
    '  submit a task, and read its result',
    `    mosquitto_pub ${at} -q 1 -t obelisk/v1/task/submit -m '${task}'`,
    `    mosquitto_sub ${at} -C 1 -t obelisk/v1/task/rain-1/result/json`,
    '  the same by HTTP',
    `    npx obelisk task submit stat --args '{"field":"precip"}' --wait --http http://127.0.0.1:${http}`,
    `    npx obelisk node ls --http http://127.0.0.1:${http}`,
    '',
    'Ctrl-C ends it and removes its folder.',
  ]
}
