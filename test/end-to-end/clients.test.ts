/**
 * What docs/security.md shows of clients, as pasted but for names and ports: real ones, at a secured gateway, in the
 * order of the page.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Block, Markdown } from '../support/markdown.ts'
import { eventually, Fleet, freePort, PROGRAM, type Run, within } from '../support/processes.ts'
import { Secured } from '../support/secured-fleet.ts'

const PAGE = new URL('../../docs/security.md', import.meta.url)
const MODULES = new URL('../../node_modules', import.meta.url)
const PASSWORD = 'correct horse'
/** Mosquitto lies where only root looks. */
const PATH = `${process.env.PATH}:/usr/sbin`

function isThere(program: string, ...argv: readonly string[]): boolean {
  const { error, status } = spawnSync(program, argv, { env: { ...process.env, PATH } })
  return error === undefined && status === 0
}

/** Debian's packages are seen by Debian's Python alone. */
const PYTHON = ['python3', '/usr/bin/python3'].find((one) => isThere(one, '-c', 'import paho.mqtt'))

/** What cannot be tried on this machine, and why. */
function missing({ language, text }: Block): string | undefined {
  if (language === 'python') return PYTHON === undefined ? 'no Python with paho-mqtt' : undefined
  const program =
    language === 'conf' ? 'mosquitto' : /^(mosquitto_\w+|curl|openssl) /.exec(text)?.[1]
  return program === undefined || isThere('which', program) ? undefined : `no ${program}`
}

class Page {
  readonly #fleet: Fleet
  readonly #secured: Secured
  readonly #directory: string
  readonly #httpsPort: number

  constructor(fleet: Fleet, secured: Secured) {
    this.#fleet = fleet
    this.#secured = secured
    this.#httpsPort = Number(/https=\S+:(\d+)/.exec(secured.gateway.stderr)![1])
    this.#directory = join(fleet.directory, 'client')
    mkdirSync(join(this.#directory, 'bin'), { recursive: true })
    symlinkSync(MODULES.pathname, join(this.#directory, 'node_modules'))
    writeFileSync(
      join(this.#directory, 'bin', 'obelisk'),
      `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`,
      { mode: 0o755 },
    )
  }

  at(name: string): string {
    return join(this.#directory, name)
  }

  /** Runs a block; what it has to say of the port is said on the standard output. */
  start({ language, text }: Block): Run {
    const here = text
      .replaceAll('gw.local', 'localhost')
      .replaceAll('"field":"value"', '"field":"n"')
      .replaceAll(/\b8883\b/g, `${this.#secured.port}`)
      .replaceAll(/\b8025\b/g, `${this.#httpsPort}`)
    switch (language) {
      case 'python':
        return this.#run(`${PYTHON} -c "$BLOCK"`, here)
      case 'js':
        writeFileSync(this.at('client.mjs'), here)
        return this.#run(`'${process.execPath}' client.mjs`)
      case 'conf':
        writeFileSync(this.at('mosquitto.conf'), here)
        return this.#run('exec mosquitto -c mosquitto.conf')
      default:
        return this.#run('set -e; eval "$BLOCK"', here)
    }
  }

  #run(line: string, block = ''): Run {
    return this.#fleet.command('sh', ['-c', `cd '${this.#directory}' && ${line}`], {
      PATH: `${this.at('bin')}:${PATH}`,
      BLOCK: block,
      OBELISK_HTTP: `unix:${join(this.#secured.data, 'admin.sock')}`,
    })
  }
}

/** What a block prints when it has come in. */
function expected({ language, text }: Block): RegExp {
  if (text.startsWith('curl ')) return /^\[.*\]/
  if (/^(mosquitto_pub|openssl|obelisk) /.test(text)) return /^/
  return language === 'conf' ? /^/ : /^online$/m
}

async function bridged(t: Test, page: Page, block: Block): Promise<void> {
  const port = await freePort()
  // The user that it would change to could not read the key.
  const own = `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\n`
  const broker = page.start({ ...block, text: `${own}${block.text}\n` })
  const topic = 'obelisk/gateway/state'
  const heard = await eventually('the bridge brings it', async () => {
    const sub = page.start({
      language: 'sh',
      text: `mosquitto_sub -h 127.0.0.1 -p ${port} -W 1 -C 1 -t ${topic}`,
    })
    await sub.exited
    return sub.stdout || undefined
  })
  t.equal(heard.trim(), 'online')
  t.notOk(broker.hasExited)
}

t.test('every client that the page shows comes in as it is shown', async (t) => {
  const fleet = new Fleet(t)
  const secured = await Secured.start(fleet, (...argv) => fleet.start(argv), '127.0.0.1')
  const token = ['--enroll-token-file', await secured.token('n7')]
  await secured.board('n7', (...argv) => fleet.start(argv), '127.0.0.1', ...token).ready()
  const page = new Page(fleet, secured)
  writeFileSync(page.at('password'), PASSWORD)
  const file = ['--password-file', page.at('password')]
  const added = await secured.command('user', 'add', 'ann', '--role', 'operator', ...file)
  t.match(added.exit, { code: 0 }, added.stderr)

  const { blocks } = new Markdown(readFileSync(PAGE, 'utf8')).section('Clients')
  t.same(
    [...new Set(blocks.map(({ language }) => language))],
    ['sh', 'python', 'js', 'conf'],
    'all kinds are there',
  )
  for (const block of blocks) {
    const skip = missing(block) ?? false
    await t.test(block.text.split('\n')[0]!, { skip }, async (t) => {
      if (block.language === 'conf') return await bridged(t, page, block)
      const run = page.start(block)
      t.match(await within('its end', run.exited), { code: 0 }, run.stderr)
      t.match(run.stdout, expected(block))
    })
  }
  const tasks = await secured.admin.json<unknown[]>({ path: '/api/tasks' })
  t.equal(tasks.length, isThere('which', 'mosquitto_pub') ? 1 : 0, 'the task was taken')
})
