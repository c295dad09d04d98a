/** The flow of docs/examples in Node-RED. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eventually, Fleet, freePort } from '../support/processes.ts'
import { WireClient } from '../support/wire-client.ts'
import { NODE_RED } from './programs.ts'

const FLOW = new URL('../../docs/examples/node-red.json', import.meta.url)

t.setTimeout(300_000)

t.test('Node-RED gives a task and shows its result, and what was refused', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64', '--replicas', '1')
  await fleet.agent('edge-1', gateway.url)
  const folder = join(fleet.directory, 'node-red')
  mkdirSync(folder)
  const flow = JSON.parse(readFileSync(FLOW, 'utf8')) as { type: string }[]
  for (const node of flow) {
    if (node.type === 'mqtt-broker') Object.assign(node, { port: `${gateway.port}` })
    // In its log as well as beside the flow.
    if (node.type === 'debug') Object.assign(node, { console: true })
  }
  writeFileSync(join(folder, 'flows.json'), JSON.stringify(flow))
  const settings = { uiHost: '127.0.0.1', uiPort: await freePort(), flowFile: 'flows.json' }
  writeFileSync(join(folder, 'settings.js'), `module.exports = ${JSON.stringify(settings)}\n`)
  const red = fleet.command(process.execPath, [NODE_RED, '--userDir', folder])
  await eventually('a result', () => /\[debug:show\][^[]*op: 'stat'/.test(red.stdout))
  t.match(red.stdout, /count: 4096/)
  const user = await WireClient.connect(gateway.url)
  await user.submit({ id: 'wrong', op: 'nothing' })
  await eventually('a refusal', () => /\[debug:show\][^[]*unknown-operation/.test(red.stdout))
  await user.close()
})
