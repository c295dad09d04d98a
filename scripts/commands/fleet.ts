/** `obelisk fleet upgrade`: brings the boards to another version, and looks on until they run it. */
import type { GatewayClient } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { UpgradePlanRow, UpgradeView } from '../../shared/protocol/views.ts'
import { EXIT_DONE, EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { fault, usage } from '../fault.ts'
import {
  type Asked,
  type CommandGroup,
  demand,
  type Flags,
  given,
  say,
  show,
} from './command-place.ts'
import { namesOfPackages } from './package-files.ts'
import { patiently } from './patience.ts'
import { printable } from './streams.ts'
import { parseSeconds } from './task-request.ts'
import { isWellDone, outcomeTable, progressOf, upgradeTable } from './upgrade-words.ts'

type UpgradeFlags = Flags<'wave' | 'only' | 'pause', 'again' | 'allowAway' | 'dryRun'>

const SHOWS = 'this shows it: obelisk fleet upgrade status'
const CLEAR_LINE = '\r\u001b[K'

export function addFleetCommands(obelisk: CommandGroup): void {
  const fleet = obelisk.group('fleet', 'bring the boards to another version')
  const begins = fleet
    .asks('upgrade [packages...]', begin)
    .description('upgrade the boards, a few at a time, and wait until they run it')
    .option('--wave <nodes>', 'so many at a time, or a share as 10% (default: 1)')
    .option('--only <ids>', 'these nodes alone: ids with commas between them')
    .option('--pause <seconds>', 'between two waves')
    .option('--again', 'also nodes on which this very package failed before')
    .option('--allow-away', 'with --replicas 1, tiles may be away while their node starts anew')
    .option('--dry-run', 'send the packages, say what would become of each node, and begin nothing')
  const upgrade = fleet.below(begins)
  upgrade.asks('status', showLatest).description('show how far the latest upgrade is')
  upgrade
    .asks('stop', stop)
    .description('stop the upgrade, but for the nodes that install at this moment')
  upgrade
    .asks('resume', resume)
    .description('go on with an upgrade that has stopped, without the nodes that failed')
}

async function begin(asked: Asked<UpgradeFlags>, packages: readonly string[]): Promise<number> {
  const { gateway, streams, flags } = asked
  if (packages.length === 0) throw usage('no package: name its file, as npm run package made it')
  const wish = wishOf(flags)
  const says = (text: string): unknown => streams.stderr.write(`${printable(text)}\n`)
  const names = await namesOfPackages(gateway, packages, says)
  const begin = <T>(): Promise<T> =>
    demand<T>(gateway, 'POST', '/api/upgrades', { packages: names, ...wish })
  if (flags.dryRun) {
    const plan = await begin<{ version: string; nodes: UpgradePlanRow[] }>()
    const text = `to ${printable(plan.version)}:\n${outcomeTable(plan.nodes, streams)}`
    return show(asked, plan, text)
  }
  return await look(asked, await begin<UpgradeView>())
}

function wishOf({ wave, only, again, allowAway, dryRun, ...flags }: UpgradeFlags): object {
  if (wave !== undefined && !/^([1-9]\d{0,4}|([1-9]\d?|100)%)$/.test(wave)) {
    throw usage(`--wave: "${wave}" is neither a number of nodes nor a share, as 10%`)
  }
  const ids = only?.split(',').map((id) => id.trim())
  if (ids?.includes('')) throw usage(`--only: "${only}" has an empty id`)
  return {
    wave: wave?.endsWith('%') ? wave : wave && Number(wave),
    pause_seconds: given(flags.pause, (text) => parseSeconds(text, '--pause')),
    only: ids,
    again,
    allow_away: allowAway,
    dry_run: dryRun,
  }
}

async function showLatest(asked: Asked): Promise<number> {
  const view = await latestOf(asked.gateway)
  show(asked, view, () => upgradeTable(view, asked.streams))
  return view.state === 'running' || isWellDone(view) ? EXIT_DONE : EXIT_FAILED
}

function tellLatest(gateway: GatewayClient, wish: 'stop' | 'resume'): Promise<UpgradeView> {
  return demand(gateway, 'POST', '/api/upgrades/latest', { demand: wish })
}

async function stop(asked: Asked): Promise<number> {
  const view = await tellLatest(asked.gateway, 'stop')
  const installing = view.counts.installing ?? 0
  const rest = installing === 0 ? '' : `; ${installing} that install end what they began`
  return say(asked, view, `upgrade ${view.id} is ${view.state}${rest}`)
}

async function resume(asked: Asked): Promise<number> {
  return await look(asked, await tellLatest(asked.gateway, 'resume'))
}

async function latestOf(gateway: GatewayClient, signal?: AbortSignal): Promise<UpgradeView> {
  const { latest } = await gateway.json<{ latest: UpgradeView | null }>({
    ...{ path: '/api/upgrades', signal },
  })
  if (latest !== null) return latest
  throw new ObeliskError({ code: 'no-upgrade', detail: 'there never was an upgrade', status: 404 })
}

/** Until it is over: on a terminal one line that changes, else a line a change. */
async function look(asked: Asked, begun: UpgradeView): Promise<number> {
  const { gateway, streams } = asked
  const { id } = begun
  const goesOn = `upgrade ${id} goes on; ${SHOWS}`
  const interrupted = `${goesOn}, and this ends it: obelisk fleet upgrade stop`
  const isLive = streams.stderr.isTTY === true
  const limitSeconds = Number.POSITIVE_INFINITY
  const view = await patiently({ limitSeconds, streams, goesOn, interrupted }, async (patience) => {
    let last = ''
    for (let view = begun; ; view = await patience.ask((signal) => latestOf(gateway, signal))) {
      if (view.id !== id) {
        const message = `upgrade ${id} is over, and ${view.id} follows it; ${SHOWS}`
        throw fault('upgrade-replaced', message)
      }
      const line = printable(progressOf(view))
      if (line !== last) streams.stderr.write(isLive ? `${CLEAR_LINE}${line}` : `${line}\n`)
      last = line
      if (view.state !== 'running' && (view.counts.installing ?? 0) === 0) return view
      await patience.pause()
    }
  }).finally(() => isLive && streams.stderr.write('\n'))
  show(asked, view, () => upgradeTable(view, streams))
  return isWellDone(view) ? EXIT_DONE : EXIT_FAILED
}
