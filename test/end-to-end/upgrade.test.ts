/**
 * Boards are brought to another version by a real gateway: the package goes up over HTTP, comes down at the MQTT port, and
 * is installed by the real `obelisk install --staged`, below another root. What a service manager does, looking for the
 * request and starting the agent anew, the test does.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { VERSION } from '../../shared/runtime/version.ts'
import { makeKey } from '../support/packaged-tree.ts'
import { eventually, Fleet, type Gateway, PROGRAM, type Run, within } from '../support/processes.ts'
import { StagedBoard } from '../support/staged-board.ts'

t.setTimeout(600_000)
t.jobs = 2

const NEW = '9.0.0'
const PROGRAMS = dirname(PROGRAM)
const BUNDLE = join(PROGRAMS, 'bundles/agent.mjs')
const isBundled = existsSync(BUNDLE)
const skip = isBundled ? false : 'there are no packages for this machine'

/** The agent's program, which says that it is of this version. */
function programOf(version: string): string {
  const text = readFileSync(BUNDLE, 'utf8')
  return text.replaceAll(JSON.stringify(VERSION), JSON.stringify(version))
}

/** A board with what systemd would do on it. */
class Board {
  readonly id: string
  readonly staged: StagedBoard
  readonly #fleet: Fleet
  readonly #url: string
  /** Root cannot have the new version run. */
  readonly #goesBack: boolean
  #run: Run | undefined
  requests = 0
  /** Whatever was asked for is done, and the agent runs again. */
  installed: Promise<unknown> = Promise.resolve()

  static async make(
    t: Test,
    fleet: Fleet,
    gateway: Gateway,
    id: string,
    goesBack = false,
  ): Promise<Board> {
    const board = new Board(fleet, gateway.url, id, goesBack)
    const tree = board.staged.tree({ version: VERSION, program: programOf(VERSION) })
    const { code, err } = await board.staged.obelisk('install', '--role', 'agent', '--from', tree)
    t.equal(code, 0, err)
    const watcher = watch(board.staged.staging(), (_event, name) => {
      if (name !== 'request.json') return
      board.installed = Promise.all([board.installed, board.#install()])
    })
    t.teardown(() => watcher.close())
    await board.#start()
    return board
  }

  private constructor(fleet: Fleet, url: string, id: string, goesBack: boolean) {
    this.id = id
    this.#fleet = fleet
    this.#url = url
    this.#goesBack = goesBack
    this.staged = new StagedBoard(join(fleet.directory, `board-${id}`), KEY)
  }

  async #start(): Promise<void> {
    const place = join(this.#fleet.directory, `run-${this.id}`)
    mkdirSync(place, { recursive: true })
    for (const name of ['lmdb.node', 'lmdb.cjs']) {
      copyFileSync(join(PROGRAMS, name), join(place, name))
    }
    const program = join(place, 'agent.mjs')
    copyFileSync(this.staged.at('usr/lib/obelisk-agent/agent.mjs'), program)
    const data = this.staged.at('var/lib/private/obelisk-agent')
    const own = ['--id', this.id, '--url', this.#url, '--data', data]
    const UPGRADE_DIRECTORY = this.staged.at('run/obelisk-agent-upgrade')
    this.#run = this.#fleet.command(process.execPath, [program, ...own], { UPGRADE_DIRECTORY })
    await this.#run.line('ready ')
  }

  async #install(): Promise<void> {
    const asked = JSON.parse(readFileSync(this.staged.staging('request.json'), 'utf8'))
    if (asked.id === this.#asked) return
    this.#asked = asked.id
    this.requests += 1
    if (!this.#goesBack) {
      const { code, err } = await this.staged.staged()
      if (code !== 0) throw new Error(err)
    } else {
      const outcome = { outcome: 'went-back', code: 'upgrade-went-back' }
      const told = { request: asked.id, sha256: asked.sha256, ...outcome }
      const runtime = this.staged.at('run/obelisk-agent-upgrade')
      mkdirSync(runtime, { recursive: true })
      writeFileSync(join(runtime, 'outcome.json'), JSON.stringify(told))
    }
    await this.#run!.end('SIGTERM')
    await this.#start()
  }

  #asked: string | undefined
}

const KEY = makeKey()

async function ask(
  gateway: Gateway,
  path: string,
  init?: RequestInit,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${gateway.http}${path}`, init)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

function json(body: object): RequestInit {
  const headers = { 'content-type': 'application/json' }
  return { method: 'POST', headers, body: JSON.stringify(body) }
}

async function send(gateway: Gateway, archive: Uint8Array) {
  const headers = { 'content-type': 'application/gzip' }
  return await ask(gateway, '/api/packages', {
    method: 'POST',
    headers,
    body: new Uint8Array(archive),
  })
}

async function nodesOf(gateway: Gateway): Promise<Record<string, string>> {
  const { body } = await ask(gateway, '/api/upgrades')
  const { nodes } = body.latest as { nodes: { node: string; state: string; code?: string }[] }
  return Object.fromEntries(nodes.map(({ node, state, code }) => [node, code ?? state]))
}

t.test('a fleet is brought to a new version', { skip }, async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--replicas', '2')
  const boards = [
    await Board.make(t, fleet, gateway, 'a'),
    await Board.make(t, fleet, gateway, 'b'),
  ]
  await fleet.agent('by-hand', gateway.url)
  const tree = boards[0]!.staged.tree({ version: NEW, program: programOf(NEW) })
  const file = join(fleet.directory, 'agent.tar.gz')
  writeFileSync(file, boards[0]!.staged.archive(tree))
  const upgrade = (...words: string[]): Run =>
    fleet.command(process.execPath, [
      ...[PROGRAM, 'fleet', 'upgrade', ...words, '--http', gateway.http],
    ])
  const dry = upgrade(file, '--dry-run', '--json')
  t.match(await within('the dry run', dry.exited), { code: 0 }, dry.stderr)
  t.match(JSON.parse(dry.stdout), {
    version: NEW,
    nodes: [
      { node: 'a', state: 'waiting' },
      { node: 'b', state: 'waiting' },
      { node: 'by-hand', state: 'skipped', code: 'by-hand' },
    ],
  })
  const [{ sha256 }] = (await ask(gateway, '/api/packages')).body as unknown as [{ sha256: string }]
  const all = upgrade(sha256, '--wave', '100%')
  await eventually('it is under way', async () => {
    const { latest } = (await ask(gateway, '/api/upgrades')).body as { latest: object | null }
    return latest !== null
  })
  const again = await ask(gateway, '/api/upgrades', json({ packages: [sha256] }))
  t.match(again, { status: 409, body: { code: 'upgrade-running' } })
  t.match(await within('the upgrade', all.exited, 300_000), { code: 0 }, all.stderr)
  t.match(await nodesOf(gateway), { a: 'done', b: 'done', 'by-hand': 'by-hand' })
  t.match((await ask(gateway, '/api/nodes/a')).body, { version: NEW, state: 'alive' })
  await Promise.all(boards.map(({ installed }) => installed))
  t.same(
    boards.map(({ requests }) => requests),
    [1, 1],
  )
  t.equal((await ask(gateway, `/api/packages/${sha256}`, { method: 'DELETE' })).status, 200)
  t.same((await ask(gateway, '/api/packages')).body, [])
})

t.test(
  'the canary goes back: the others are not touched; a bad package is not kept',
  { skip },
  async (t) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway('--replicas', '2')
    const canary = await Board.make(t, fleet, gateway, 'a', true)
    const other = await Board.make(t, fleet, gateway, 'b')
    const tree = canary.staged.tree({ version: NEW, program: programOf(NEW) })
    const archive = canary.staged.archive(tree)
    const { body } = await send(gateway, archive)
    writeFileSync(join(tree, 'agent.mjs'), '// changed\n')
    const changed = await send(gateway, canary.staged.archive(tree))
    t.match(changed, { status: 422, body: { code: 'package-untrusted' } })
    t.match(changed.body.detail, /agent\.mjs has/)
    const nothing = await send(gateway, Buffer.from('nothing of ours'))
    t.match(nothing, { status: 422, body: { code: 'package-untrusted' } })
    const wrong = await ask(gateway, '/api/packages', json({}))
    t.match(wrong, { status: 415 })
    const unknown = await ask(gateway, '/api/upgrades', json({ packages: ['00'.repeat(32)] }))
    t.match(unknown, { status: 404, body: { code: 'unknown-package' } })

    await ask(gateway, '/api/upgrades', json({ packages: [body.sha256], wave: 5 }))
    const stopped = await eventually('it stops', async () => {
      const { latest } = (await ask(gateway, '/api/upgrades')).body as { latest: { state: string } }
      return latest.state === 'stopped' && latest
    })
    t.match(stopped, { stopped: { code: 'upgrade-went-back', node: 'a' } })
    t.match(await nodesOf(gateway), { a: 'upgrade-went-back', b: 'fetched' })
    await canary.installed
    t.equal(canary.requests, 1)
    t.equal(other.requests, 0)
    await gateway.run.end('SIGTERM')
    await gateway.restart()
    t.match(await nodesOf(gateway), { a: 'upgrade-went-back', b: 'fetched' }, 'it is in the ledger')
    t.match((await ask(gateway, '/api/packages')).body, [{ version: NEW }])
  },
)
