/** Completion and the page of the manual, against what there is to type. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GATEWAY_OPTIONS } from '../../broker/config.ts'
import { everyCommand } from '../../scripts/commands/command-tree.ts'
import { SHELLS } from '../../scripts/commands/completion.ts'
import { ownTree } from '../../scripts/commands/program.ts'
import { flagOf } from '../../shared/runtime/option-table.ts'
import { command } from '../support/secured-gateway.ts'

const TREE = ownTree()
const ALL = everyCommand(TREE)

async function printed(...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await command(argv)
  if (code !== 0) throw new Error(stderr)
  return stdout
}

t.test('the tree has commands of every kind', (t) => {
  const paths = ALL.map(({ path }) => path)
  for (const path of [
    '',
    'node',
    'node drain',
    'gateway',
    'gateway trust',
    'agent',
    'demo',
    'sub',
  ]) {
    t.ok(paths.includes(path), path)
  }
  t.notOk(paths.some((path) => /help|__complete/.test(path)))
  const gateway = ALL.find(({ path }) => path === 'gateway')!
  const flags = gateway.options.flatMap((option) => option.flags)
  for (const [name, option] of Object.entries(GATEWAY_OPTIONS)) {
    t.ok(flags.includes(`--${flagOf(name, option)}`), name)
  }
  t.end()
})

t.test('every command and every option is in each script', async (t) => {
  for (const shell of SHELLS) {
    const script = await printed('completion', shell)
    for (const { path, options } of ALL) {
      const last = path.split(' ').at(-1)!
      t.ok(
        script.includes(shell === 'fish' ? `-a ${last}`.slice(path === '' ? 3 : 0) : `'${path}'`),
        path,
      )
      for (const flag of options.flatMap(({ flags }) => flags)) {
        const word = flag.replace(/^--/, '-l ').replace(/^-(?=\w$)/, '-s ')
        const isThere =
          shell === 'fish'
            ? script
                .split('\n')
                .some((line) => line.includes(`"${path}"`) && line.includes(` ${word} `))
            : script
                .split('\n')
                .some((line) => line.startsWith(`    '${path}') `) && line.includes(flag))
        if (!isThere) t.fail(`${shell}: ${path} ${flag}`)
      }
    }
    t.pass(shell)
  }
})

/** What bash offers for the last of these words. */
function offered(folder: string, script: string, words: readonly string[]): string[] {
  const list = words.map((word) => `'${word}'`).join(' ')
  const program = `source '${script}'; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _obelisk_words; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-c', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: `${folder}:${process.env.PATH}` },
    cwd: folder,
  })
  if (status !== 0 || stderr.length > 0) throw new Error(stderr.toString())
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line !== '')
}

t.test('bash offers what fits', async (t) => {
  const folder = t.testdir({ 'some.npy': '' })
  const script = join(folder, 'completion')
  writeFileSync(script, await printed('completion', 'bash'))
  t.equal(spawnSync('bash', ['-n', script]).status, 0)
  writeFileSync(
    join(folder, 'obelisk'),
    '#!/bin/sh\n[ "$2" = nodes ] && echo edge-1 && echo edge-2\n',
    {
      mode: 0o755,
    },
  )
  const offer = (...words: string[]): string[] => offered(folder, script, ['obelisk', ...words])
  t.same(offer('nod'), ['node'])
  t.ok(offer('node', '').includes('drain'))
  t.same(offer('node', 'drain', '--un'), ['--undo'])
  t.same(offer('node', 'drain', 'edge'), ['edge-1', 'edge-2'])
  t.same(offer('task', 'state', 'x'), [], 'a gateway that is not there offers nothing')
  t.same(offer('task', 'submit', '--file', 'so'), ['some.npy'])
  t.same(offer('task', 'ls', '--limit', ''), [])
  t.same(offer('task', 'submit', 'sta'), ['stat'])
  t.same(offer('gateway', '--http-p'), ['--http-port'])
  t.same(offer('gateway', 'tr'), ['trust'])
  t.same(offer('completion', 'b'), ['bash'])
})

t.test('zsh and fish take their scripts', async (t) => {
  for (const shell of ['zsh', 'fish'] as const) {
    const skip = spawnSync(shell, ['--version']).status !== 0 && `no ${shell}`
    const path = join(t.testdir({}), 'script')
    writeFileSync(path, await printed('completion', shell))
    t.test(shell, { skip }, async (t) => {
      t.equal(spawnSync(shell, ['-n', path]).status, 0)
    })
  }
})

t.test('ids come from what answers, if they are such, and none from what does not', async (t) => {
  const ids = async (http: string, kind: string) =>
    await command(['__complete', kind, '--http', http])
  const { http, close } = await answering(t)
  t.match(await ids(http, 'nodes'), { code: 0, stdout: 'edge-1\nedge-2\n', stderr: '' })
  t.match(await ids(http, 'others'), { code: 0, stdout: '', stderr: '' })
  close()
  t.match(await ids(http, 'nodes'), { code: 0, stdout: '', stderr: '' })
})

async function answering(t: Test): Promise<{ readonly http: string; readonly close: () => void }> {
  const server = createServer((_request, response) =>
    response.end('[{"id":"edge-1"},{"id":"$(touch come)"},{"id":7},{"id":"edge-2"}]'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  t.teardown(close)
  return { http: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

t.test('the page of the manual has every command and option, and man takes it', async (t) => {
  const folder = t.testdir({})
  t.equal(await printed('man', '--out', folder), `${join(folder, 'obelisk.1')}\n`)
  const page = readFileSync(join(folder, 'obelisk.1'), 'utf8')
  const plain = page.replaceAll('\\-', '-')
  for (const { path, options } of ALL.slice(1)) {
    const section = plain.split('\n.SS ').find((text) => `${text} `.startsWith(`obelisk ${path} `))
    t.ok(section !== undefined, path)
    for (const flag of options.flatMap(({ flags }) => flags)) {
      if (!section!.includes(`\\fB${flag}\\fR`)) t.fail(`${path} ${flag}`)
    }
  }
  const groff = spawnSync('man', ['--warnings', '-l', join(folder, 'obelisk.1')])
  if (groff.error === undefined) t.equal(groff.stderr.toString(), '')
})
