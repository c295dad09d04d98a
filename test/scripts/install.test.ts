/** Installing: the plan as a table, and carried out on a temporary root with real trees. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { collectFacts, type Facts } from '../../scripts/install/collect-facts.ts'
import { Performer } from '../../scripts/install/perform.ts'
import { isNewEnough } from '../../scripts/install/places.ts'
import {
  type InstallWishes,
  planGoingBack,
  planInstall,
  wayBackOf,
} from '../../scripts/install/plan.ts'
import { planUninstall } from '../../scripts/install/plan-uninstall.ts'
import { type Observation, Readiness } from '../../scripts/install/readiness.ts'
import { readSettings } from '../../scripts/install/settings.ts'
import { describe } from '../../scripts/install/steps.ts'
import { SystemPrograms } from '../../scripts/install/system-programs.ts'
import { setKeys } from '../../scripts/install/toml-edit.ts'
import type { TreeFacts } from '../../scripts/install/tree.ts'
import { commandText, dropInText } from '../../scripts/install/unit-text.ts'
import { formatToken, type TokenKind } from '../../shared/protocol/tokens.ts'
import type { AppError } from '../../shared/runtime/errors.ts'
import { makeKey, makeOldKey, makeTree } from '../support/packaged-tree.ts'
import { SmallDisk } from '../support/small-disk.ts'
import { withoutRights } from '../support/without-rights.ts'

const UNIT =
  '[Service]\nExecStart=/usr/bin/node --max-old-space-size=64 /usr/lib/obelisk-agent/agent.mjs\n'

const UNIT_FILE = '/etc/systemd/system/obelisk-agent.service'
const WANTS = '/etc/systemd/system/multi-user.target.wants/obelisk-agent.service'
const CREDENTIAL = '/etc/credstore/obelisk-enroll-token'

const TREE: TreeFacts = {
  path: '/tmp/tree',
  version: '1.0.0',
  role: 'agent',
  architecture: 'arm64',
  node: '>=20.19',
  inventory: 'one',
  unitText: UNIT,
  problems: [],
}

const BARE: Facts = {
  root: '/',
  architecture: 'arm64',
  node: { path: '/usr/bin/node', version: '20.19.2' },
  systemdVersion: 252,
  isLive: true,
  tree: undefined,
  offered: TREE,
  offeredCopy: '/tmp/copy/tree',
  trustedKey: undefined,
  previous: undefined,
  isOwnedByDpkg: false,
  missing: ['/etc/obelisk', '/etc/credstore', `${UNIT_FILE}.d`],
  entries: {},
  hasIdentity: false,
  isMasked: false,
  hasOther: false,
  unit: {
    ...{ isLoaded: true, isEnabled: false, isMasked: false, activeState: 'inactive' },
    ...{ statusText: '', needsReload: false, restarts: 0, exitStatus: 0 },
  },
  unseen: [],
}

const token = (kind: TokenKind): string =>
  formatToken({ kind, id: 'aaaaaaaa', secret: new Uint8Array(16), pin: new Uint8Array(32) })
const TOKEN = token('node')
const USERS_TOKEN = token('user')

const WISHES: InstallWishes = {
  role: 'agent',
  settings: { values: { id: 'edge-1' } },
  isPackaged: false,
  isToStart: true,
  isToEnable: false,
}

const CONFIGURATION =
  '# Configuration of the Obelisk agent. Every option: obelisk agent --help\nid = "edge-1"\n'

const COMMAND = { target: '/usr/lib/obelisk-agent/obelisk.mjs', text: '', mode: 0o755 }
const ENTRIES: Facts['entries'] = {
  '/etc/obelisk/agent.toml': { text: CONFIGURATION, mode: 0o644 },
  [UNIT_FILE]: { text: UNIT, mode: 0o644 },
  '/usr/bin/obelisk': COMMAND,
}
/** As dpkg leaves it: the unit is elsewhere. */
const PACKAGED = { '/etc/obelisk/agent.toml': ENTRIES['/etc/obelisk/agent.toml']! }

/** All as the wishes say. */
const INSTALLED: Facts = {
  ...BARE,
  tree: { ...TREE, path: '/usr/lib/obelisk-agent' },
  missing: ['/etc/credstore', `${UNIT_FILE}.d`],
  entries: ENTRIES,
  unit: {
    ...BARE.unit!,
    ...{ isEnabled: true, activeState: 'active', statusText: 'joined mqtt://gw:1883 as edge-1' },
  },
}

const lines = (facts: Facts, wishes: Partial<InstallWishes> = {}): string[] =>
  planInstall(facts, { ...WISHES, ...wishes }).map((step) => describe(step, '/'))

t.test('a bare system gets everything, in order', (t) => {
  t.same(lines(BARE), [
    'put version 1.0.0 from /tmp/tree to /usr/lib/obelisk-agent',
    'make /etc/obelisk (0755)',
    'write /etc/obelisk/agent.toml (0644): sets id',
    'link /etc/systemd/system/multi-user.target.wants/obelisk-agent.service to /etc/systemd/system/obelisk-agent.service',
    'write /etc/systemd/system/obelisk-agent.service (0644): the unit',
    'link /usr/bin/obelisk to /usr/lib/obelisk-agent/obelisk.mjs',
    'systemctl daemon-reload',
    'systemctl reset-failed obelisk-agent.service',
    'systemctl --no-block restart obelisk-agent.service',
    'wait until obelisk-agent.service is ready',
  ])
  t.end()
})

t.test('what is as it should be gives no step', (t) => {
  t.same(lines(INSTALLED), [])
  t.same(lines({ ...INSTALLED, offered: undefined }), [])
  t.end()
})

t.test('only what differs is changed', (t) => {
  const cases: readonly (readonly [string, Facts, Partial<InstallWishes>, readonly string[]])[] = [
    [
      'a key of the configuration',
      INSTALLED,
      { settings: { values: { url: 'mqtt://gw' } } },
      [
        'write /etc/obelisk/agent.toml (0644): sets url',
        'systemctl reset-failed obelisk-agent.service',
        'systemctl --no-block restart obelisk-agent.service',
        'wait until obelisk-agent.service is ready',
      ],
    ],
    [
      'a unit that is stopped',
      { ...INSTALLED, unit: { ...INSTALLED.unit!, activeState: 'inactive' } },
      {},
      [
        'systemctl reset-failed obelisk-agent.service',
        'systemctl --no-block restart obelisk-agent.service',
        'wait until obelisk-agent.service is ready',
      ],
    ],
    [
      'a unit that is stopped, and is to stay so',
      { ...INSTALLED, unit: { ...INSTALLED.unit!, activeState: 'inactive' } },
      { isToStart: false },
      [],
    ],
    [
      'systemd of another version',
      { ...INSTALLED, systemdVersion: 257 },
      { isToStart: false },
      [
        'make /etc/systemd/system/obelisk-agent.service.d (0755)',
        'write /etc/systemd/system/obelisk-agent.service.d/10-install.conf (0644): what depends on this machine',
        'systemctl daemon-reload',
      ],
    ],
    [
      'a damaged tree',
      { ...INSTALLED, tree: { ...TREE, problems: ['agent.mjs is missing'] } },
      { isToStart: false },
      ['put version 1.0.0 from /tmp/tree to /usr/lib/obelisk-agent', 'systemctl daemon-reload'],
    ],
    [
      'a tree that is away between two renames',
      { ...INSTALLED, tree: undefined, previous: TREE, offered: undefined },
      { isToStart: false },
      [
        'put /usr/lib/obelisk-agent.previous back to /usr/lib/obelisk-agent',
        'systemctl daemon-reload',
      ],
    ],
    [
      'the token, where others may read it',
      { ...INSTALLED, entries: { ...ENTRIES, [CREDENTIAL]: { text: 'secret', mode: 0o644 } } },
      { isToStart: false, settings: { values: {}, token: 'secret' } },
      [
        'make /etc/credstore (0700)',
        'write /etc/credstore/obelisk-enroll-token (0600): the token for a first identity',
      ],
    ],
    [
      'a package in the place of an installation by hand',
      { ...INSTALLED, offered: undefined, isOwnedByDpkg: true },
      { isToStart: false, isPackaged: true },
      [
        'remove /etc/systemd/system/obelisk-agent.service: of an installation by hand; the package has its own',
        'systemctl daemon-reload',
      ],
    ],
  ]
  for (const [name, facts, wishes, wanted] of cases) t.same(lines(facts, wishes), wanted, name)
  t.end()
})

t.test('an upgrade waits for what was there before: a node that had joined joins again', (t) => {
  const offered = { ...TREE, version: '2.0.0', inventory: 'two' }
  const upgrade = lines({ ...INSTALLED, offered })
  t.ok(upgrade.includes('wait until obelisk-agent.service is ready and has joined'))
  t.equal(upgrade.at(-1), 'remove /usr/lib/obelisk-agent.previous: the version before')
  const alone = { ...INSTALLED.unit!, statusText: 'waiting for mqtt://gw:1883' }
  t.ok(
    lines({ ...INSTALLED, offered, unit: alone }).includes(
      'wait until obelisk-agent.service is ready',
    ),
  )
  const packaged = lines(
    { ...INSTALLED, offered: undefined, entries: PACKAGED, isOwnedByDpkg: true, previous: TREE },
    { isPackaged: true },
  )
  t.ok(packaged.includes('wait until obelisk-agent.service is ready and has joined'))
  t.end()
})

t.test('a token is there until the node has joined, and no longer', (t) => {
  const settings = { values: { url: 'mqtts://gw.local:8883' }, token: TOKEN }
  const plan = lines({ ...INSTALLED, offered: undefined }, { settings })
  t.match(plan, [
    'write /etc/obelisk/agent.toml (0644): sets url',
    'make /etc/credstore (0700)',
    'write /etc/credstore/obelisk-enroll-token (0600): the token for a first identity',
    'systemctl reset-failed obelisk-agent.service',
    'systemctl --no-block restart obelisk-agent.service',
    'wait until obelisk-agent.service is ready',
    'remove /etc/credstore/obelisk-enroll-token, once obelisk-agent.service has its identity',
  ])
  t.notMatch(plan.join('\n'), TOKEN)
  const image = lines(
    {
      ...BARE,
      isLive: false,
      unit: undefined,
      tree: TREE,
      offered: undefined,
      isOwnedByDpkg: true,
    },
    { settings, isPackaged: true, isToEnable: true },
  )
  t.match(image.join('\n'), /write \/etc\/credstore\/obelisk-enroll-token/)
  t.notMatch(image.join('\n'), /remove/, 'a board that has not started needs it')
  t.end()
})

t.test('what is no token for a node is refused before anything is touched', async (t) => {
  const directory = t.testdir({ good: `${TOKEN}\n`, user: TOKEN.replace('obk1', 'obu1'), bad: 'x' })
  const read = (name: string, gateway = 'mqtts://gw.local:8883') =>
    readSettings(
      'agent',
      { tokenFile: join(directory, name), gateway, others: [] },
      join(directory, 'none.toml'),
      piped(''),
    )
  t.match(await read('good'), { values: { url: 'mqtts://gw.local:8883' }, token: TOKEN })
  for (const name of ['user', 'bad']) {
    await t.rejects(read(name), { code: 'token-malformed', exitCode: 65 }, name)
  }
  await t.rejects(read('missing'), { code: 'unreadable', exitCode: 66 })
  await t.rejects(read('good', 'mqtt://127.0.0.1:1883'), { code: 'url-not-secure', exitCode: 78 })
  const others = { tokenFile: join(directory, 'good'), others: [] }
  await t.rejects(readSettings('gateway', others, join(directory, 'none.toml'), piped('')), {
    code: 'usage',
  })
})

t.test('a unit that a person has disabled or masked stays so', (t) => {
  const disabled = { ...INSTALLED.unit!, isEnabled: false, activeState: 'inactive' }
  const offered = { ...TREE, version: '2.0.0', inventory: 'two' }
  const byHand = { ...INSTALLED, offered, unit: disabled }
  const packaged: Facts = { ...byHand, entries: PACKAGED, isOwnedByDpkg: true, previous: TREE }
  const steps = {
    byHand: lines(byHand),
    packaged: lines({ ...packaged, offered: undefined }, { isPackaged: true }),
    masked: lines({ ...packaged, offered: undefined, isMasked: true }, { isPackaged: true }),
    another: lines({ ...byHand, isLive: false, unit: undefined }),
  }
  for (const [name, plan] of Object.entries(steps)) {
    t.ok(plan.length > 0, name)
    t.notMatch(plan.join('\n'), /enable|restart|wants|wait/, name)
  }
  t.same(lines({ ...byHand, offered: TREE }), [], 'and nothing is to do')
  const enabled = lines({ ...byHand, offered: TREE }, { isToEnable: true })
  t.match(enabled[0], /^link .*wants/, 'unless it is asked for')
  t.match(enabled.at(-2), /restart/)
  const asked = { isPackaged: true, isToEnable: true }
  t.match(lines({ ...packaged, offered: undefined }, asked).join('\n'), /systemctl enable/)

  const running = { ...byHand, unit: { ...disabled, activeState: 'active' } }
  t.notMatch(lines(running).join('\n'), /enable|wants/, 'started by hand, it stays disabled')
  t.match(lines(running).join('\n'), /restart/, 'and goes on with the new version')
  t.throws(() => lines({ ...BARE, isMasked: true }), { code: 'usage', message: /unmask/ })
  t.end()
})

t.test('only a sound version is a way back', (t) => {
  const offered = { ...TREE, version: '2.0.0', inventory: 'two' }
  const torso = { ...TREE, version: '', problems: ['package.json is missing'] }
  const steps = (facts: Partial<Facts>) => {
    const previous = facts.previous && { '/usr/lib/obelisk-agent.previous': {} }
    const entries = { ...ENTRIES, ...previous }
    const all = { ...INSTALLED, offered, entries, ...facts }
    return { plan: lines(all).join('\n'), back: wayBackOf(all, WISHES)?.version }
  }
  const removed = /remove \S+\.previous: it is damaged[\s\S]*put version 2/
  t.match(steps({ previous: torso }), { plan: removed, back: '1.0.0' }, 'the sound tree is kept')
  t.match(steps({ tree: torso, previous: torso }), { plan: removed, back: undefined })
  const before = { ...TREE, version: '0.9.0' }
  t.match(steps({ tree: torso, previous: before }), { plan: /put version 2/, back: '0.9.0' })
  t.match(steps({ previous: before }), { back: '0.9.0' }, 'not one that never got to be ready')
  t.match(steps({ tree: torso, previous: before, offered: undefined }).plan, /^put \S+ back to/)
  t.match(steps({ tree: offered, previous: torso, offered: undefined }), {
    plan: /remove \S+\.previous: it is damaged/,
    back: undefined,
  })
  t.end()
})

t.test('a package in an image, where nothing runs, is enabled and not started', (t) => {
  const facts = { ...BARE, isLive: false, unit: undefined, offered: undefined, isOwnedByDpkg: true }
  const wishes = { isPackaged: true, isToEnable: true, settings: { values: {} } }
  t.same(lines({ ...facts, tree: TREE }, wishes), [
    'make /etc/obelisk (0755)',
    'write /etc/obelisk/agent.toml (0644): the configuration',
    'link /etc/systemd/system/multi-user.target.wants/obelisk-agent.service to /lib/systemd/system/obelisk-agent.service',
  ])
  t.end()
})

t.test('going back restores the tree and every file as it was', (t) => {
  const offered = { ...TREE, version: '2.0.0', inventory: 'two', unitText: '[Service]\n' }
  const facts = {
    ...{ ...INSTALLED, offered },
    entries: { ...ENTRIES, [CREDENTIAL]: { text: 'old', mode: 0o600 } },
  }
  const wishes = { ...WISHES, settings: { values: { id: 'b' }, token: 'new' } }
  const steps = planGoingBack(facts, wishes)
  t.match(steps[0], { do: 'restore-tree', to: '/usr/lib/obelisk-agent' })
  const written = Object.fromEntries(
    steps.flatMap((step) => (step.do === 'write-file' ? [[step.path, step.text]] : [])),
  )
  t.same(written, {
    '/etc/systemd/system/obelisk-agent.service': UNIT,
    '/etc/obelisk/agent.toml': CONFIGURATION,
    '/etc/credstore/obelisk-enroll-token': 'old',
  })
  t.match(steps.at(-1), { do: 'systemctl', words: ['--no-block', 'restart'] })
  const back = (entry: Facts['entries'][string], id: string) =>
    planGoingBack(
      { ...facts, entries: { ...ENTRIES, '/etc/obelisk/agent.toml': entry } },
      { ...WISHES, settings: { values: { id } } },
    ).find((step) => 'path' in step && step.path === '/etc/obelisk/agent.toml')
  const closed = { text: CONFIGURATION, mode: 0o640 }
  t.match(back(closed, 'b'), { do: 'write-file', text: CONFIGURATION, mode: 0o640 })
  t.match(back({ ...closed, target: '/srv/agent.toml' }, 'b'), {
    do: 'link',
    target: '/srv/agent.toml',
  })
  t.equal(back(closed, 'edge-1'), undefined, 'what was not changed is left alone')
  t.end()
})

t.test('what does not fit is refused before anything is touched', (t) => {
  const refused = (facts: Facts, wishes: Partial<InstallWishes> = {}): unknown => {
    try {
      return lines(facts, wishes)
    } catch (error) {
      return [(error as AppError).code, (error as AppError).exitCode]
    }
  }
  t.same(refused({ ...BARE, architecture: 'armhf' }), ['unsuitable', 71])
  t.same(refused({ ...BARE, node: undefined }), ['unsuitable', 71])
  t.same(refused({ ...BARE, node: { path: '/usr/bin/node', version: '18.20.4' } }), [
    'unsuitable',
    71,
  ])
  t.same(refused({ ...BARE, systemdVersion: 251 }), ['unsuitable', 71])
  t.ok(lines({ ...BARE, systemdVersion: undefined }).length > 0, 'what is not known is no reason')
  t.same(refused({ ...BARE, offered: undefined }), ['usage', 2])
  t.same(refused({ ...BARE, offered: { ...TREE, role: 'gateway' } }), ['bad-package', 65])
  t.same(refused({ ...INSTALLED, isOwnedByDpkg: true }), ['usage', 2])
  t.end()
})

t.test('uninstall leaves data and configuration, unless told', (t) => {
  const kept = ['/etc/obelisk/agent.toml', '/var/lib/obelisk-agent']
  const facts = {
    ...INSTALLED,
    entries: {
      ...{ '/usr/lib/obelisk-agent': {}, '/var/lib/obelisk-agent': {} },
      ...{ ...ENTRIES, [`${UNIT_FILE}.d/10-install.conf`]: { text: 'x', mode: 0o644 } },
      [WANTS]: { target: UNIT_FILE, text: UNIT },
    },
  }
  const plan = (wishes: object, from: Facts = facts): string[] =>
    planUninstall(from, { role: 'agent', isPurge: false, ...wishes }).map((step) =>
      describe(step, '/'),
    )
  t.same(plan({}), [
    'systemctl stop obelisk-agent.service',
    'remove /etc/systemd/system/obelisk-agent.service.d/10-install.conf: what depends on this machine',
    'remove /etc/systemd/system/obelisk-agent.service: the unit',
    'remove /etc/systemd/system/multi-user.target.wants/obelisk-agent.service: starts the unit',
    'systemctl daemon-reload',
    'systemctl reset-failed obelisk-agent.service',
    'remove /usr/bin/obelisk: the command',
    'remove /usr/lib/obelisk-agent: the program',
  ])
  t.same(
    plan({ isPurge: true }).slice(-2),
    kept.map((path) => `remove ${path}: asked by --purge`),
  )
  t.ok(
    plan({}, { ...facts, hasOther: true }).includes(
      'link /usr/bin/obelisk to /usr/lib/obelisk-gateway/obelisk.mjs',
    ),
  )
  t.throws(() => plan({}, { ...facts, isOwnedByDpkg: true }), { code: 'usage' })
  t.same(plan({}, { ...BARE, unit: { ...BARE.unit! } }), [])
  t.end()
})

t.test('the drop-in says what depends on the machine, and only that', (t) => {
  t.equal(dropInText(UNIT, { systemdVersion: 252, node: '/usr/bin/node' }), undefined)
  t.match(
    dropInText(UNIT, { systemdVersion: 253, node: '/usr/bin/node' }),
    /^OpenFile=\/run\/systemd\/notify:notify$/m,
  )
  const own = dropInText(UNIT, { systemdVersion: 252, node: '/usr/lib/obelisk-node/bin/node' })
  t.match(
    own,
    /^ExecStart=\nExecStart=\/usr\/lib\/obelisk-node\/bin\/node --max-old-space-size=64 \/usr\/lib\/obelisk-agent\/agent\.mjs$/m,
  )
  t.notMatch(own, /OpenFile/)
  t.equal(commandText('agent', '/usr/bin/node'), undefined)
  t.match(
    commandText('agent', '/usr/lib/obelisk-node/bin/node'),
    /^exec .*node .*obelisk\.mjs "\$@"$/m,
  )
  t.end()
})

t.test('versions are numbers', (t) => {
  t.ok(isNewEnough('20.19.0', '>=20.19'))
  t.ok(isNewEnough('22.2.0', '>=20.19'))
  t.notOk(isNewEnough('20.9.0', '>=20.19'))
  t.notOk(isNewEnough('18.20.4', '>=20.19'))
  t.end()
})

t.test('readiness', (t) => {
  const limits = { startMs: 60, steadyMs: 10, joinMs: 90 }
  const active: Observation = { activeState: 'active', restarts: 0, exitStatus: 0, statusText: '' }
  const story = (mustJoin: boolean, seen: readonly [number, Partial<Observation>][]): string => {
    const readiness = new Readiness(limits, mustJoin)
    let last = ''
    for (const [nowMs, one] of seen) last = readiness.judge(nowMs, { ...active, ...one }).kind
    return last
  }
  const joined = { statusText: 'joined mqtt://gw as a' }
  t.equal(story(false, [[0, {}]]), 'wait', 'active is not enough')
  t.equal(
    story(false, [
      [0, {}],
      [10, {}],
    ]),
    'ready',
    'it stayed',
  )
  t.equal(
    story(false, [
      [0, {}],
      [8, { restarts: 1 }],
      [12, { restarts: 1 }],
    ]),
    'wait',
    'a restart counts anew',
  )
  t.equal(
    story(false, [
      [0, {}],
      [5, { activeState: 'failed', exitStatus: 78 }],
    ]),
    'failed',
  )
  t.equal(story(false, [[69, { activeState: 'activating' }]]), 'wait')
  t.equal(story(false, [[70, { activeState: 'activating' }]]), 'failed', 'it never came up')
  t.equal(
    story(true, [
      [0, {}],
      [50, {}],
    ]),
    'wait',
    'it had joined',
  )
  t.equal(
    story(true, [
      [0, {}],
      [50, joined],
    ]),
    'ready',
  )
  t.equal(
    story(true, [
      [0, {}],
      [90, {}],
    ]),
    'failed',
    'it does not join',
  )
  t.end()
})

t.test('a token goes once there is an identity, and stays while there is none', async (t) => {
  const directory = t.testdir({ bin: {}, credstore: { token: TOKEN }, identity: {} })
  const at = (name: string): string => join(directory, name)
  const say = (state: string): void => {
    const text = `#!/bin/sh\nprintf '${state}'\n`
    writeFileSync(at('bin/systemctl'), text, { mode: 0o755 })
  }
  const said: string[] = []
  const limits = { startMs: 50, steadyMs: 10, joinMs: 50 }
  const programs = new SystemPrograms({ PATH: `${at('bin')}:${process.env.PATH}` })
  const performer = new Performer({ root: '/', limits }, programs, (line) => {
    said.push(line)
  })
  const forget = (identity: string): Promise<void> =>
    performer.perform([
      {
        ...{ do: 'forget-token', unit: 'obelisk-agent.service', path: at('credstore/token') },
        identities: [at('none'), at(identity)],
      },
    ])
  say('ActiveState=active\\nStatusText=waiting for an identity from mqtts://gw\\n')
  await forget('other')
  t.match(said.join('\n'), /no identity yet \(waiting for an identity/)
  t.ok(existsSync(at('credstore/token')))
  say('ActiveState=failed\\nExecMainStatus=78\\nStatusText=refused: token-used\\n')
  await t.rejects(forget('other'), {
    exitCode: 78,
    message: /ended with 78 \(refused: token-used\)/,
  })
  t.ok(existsSync(at('credstore/token')))
  await forget('identity')
  t.notOk(existsSync(at('credstore/token')))
})

t.test('keys are set in place, and nothing else changes', (t) => {
  const text = `# the board in the cellar
id = "old" # its name
fields = [
  "a:f64", # one
  "b:f64",
]
note = '''
id = "not me"
'''
weight = 2
`
  const edited = setKeys(text, { id: 'new "one"', fields: ['c:u8'], weight: 0.5, url: 'mqtt://x' })
  t.equal(
    edited,
    `# the board in the cellar
id = "new \\"one\\"" # its name
fields = [ "c:u8" ]
note = '''
id = "not me"
'''
weight = 0.5
url = "mqtt://x"
`,
  )
  t.equal(setKeys(edited, { id: 'new "one"' }), edited, 'again changes nothing')
  t.equal(setKeys('id = "a"', { id: 'b', weight: 1 }), 'id = "b"\nweight = 1\n', 'no last newline')
  const table = '# of the kitchen\n  [[input]]\nid = "not me"\n'
  t.equal(
    setKeys(`id = "a" # it\n\n${table}`, { id: 'b', x: 1 }),
    `id = "b" # it\nx = 1\n\n${table}`,
  )
  t.equal(setKeys('# head\n[[input]]\nid = 1', { id: 2 }), '# head\nid = 2\n[[input]]\nid = 1')
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.array(fc.string(), { maxLength: 3 }),
  )
  const document = fc.dictionary(fc.constantFrom('id', 'url', 'weight', 'a-b'), value)
  const rest = fc.constantFrom('', '\n# more\n[[input]]\nid = 1\n[[input]]\nurl = 2\n')
  fc.assert(
    fc.property(document, document, rest, (before, set, below) => {
      const first = setKeys(`# head\n${below}`, before)
      const second = setKeys(first, set)
      const wanted = { ...parse(below), ...before, ...set }
      return JSON.stringify(sorted(parse(second))) === JSON.stringify(sorted(wanted))
    }),
  )
  t.end()
})

function sorted(values: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1))
}

t.test('settings are checked by the table of the program, all at once', async (t) => {
  const directory = t.testdir({ 'agent.toml': 'weight = 2\n', token: `${TOKEN}\n`, empty: '' })
  const file = join(directory, 'agent.toml')
  const others = ['--weight', '0.5', '--telemetry-interval=30s', '--keepalive-seconds', '20']
  const settings = await readSettings(
    'agent',
    {
      id: 'edge-1',
      gateway: 'mqtts://gw:8883',
      tokenFile: join(directory, 'token'),
      others,
    },
    file,
    piped(''),
  )
  t.same(settings, {
    values: {
      id: 'edge-1',
      url: 'mqtts://gw:8883',
      weight: 0.5,
      telemetry_interval: '30s',
      keepalive_seconds: 20,
    },
    url: 'mqtts://gw:8883',
    token: TOKEN,
  })
  const refused = async (flags: object, input = ''): Promise<string> => {
    try {
      await readSettings('agent', { others: [], ...flags }, file, piped(input))
      return ''
    } catch (error) {
      return `${(error as AppError).exitCode} ${(error as Error).message}`
    }
  }
  t.match(
    await refused({ id: 'a b', gateway: 'http://x' }),
    /^2 2 problems[\s\S]*--id[\s\S]*--gateway/,
  )
  t.match(await refused({ gateway: '' }), /^2 .*[\s\S]*--gateway needs a value/)
  t.match(await refused({ others: ['--url', 'http://x'] }), /^2 .*[\s\S]*--url/)
  t.match(await refused({ others: ['--weight', '1000'] }), /^78 .*[\s\S]*out of range/)
  t.match(await refused({ others: ['--data', '/x'] }), /^2 --data/)
  t.match(await refused({ others: ['--colour', 'red'] }), /^2 .*[\s\S]*unknown flag --colour/)
  const gateway = 'mqtts://gw'
  t.match(await refused({ gateway, tokenFile: join(directory, 'none') }), /^66 --token-file/)
  t.match(await refused({ gateway, tokenFile: join(directory, 'empty') }), /^66 .*empty/)
  t.match(await refused({ gateway, tokenFile: '-' }), /^66 .*standard input is empty/)
  t.equal(await refused({ gateway, tokenFile: '-' }, `${TOKEN}\n`), '')
  t.match(await refused({ gateway, tokenFile: '-' }, 'hunter2'), /^65 .*is none/)
  t.match(await refused({ gateway, tokenFile: '-' }, USERS_TOKEN), /^65 .*of a user/)
  const open = { gateway: 'mqtt://127.0.0.1', tokenFile: '-' }
  t.match(await refused(open, TOKEN), /^78 .*mqtts:\/\/ alone/)
  t.match(await refused({ gateway: 'mqtt://gw:1883' }), /^78 .*mqtt:\/\/ is for a gateway on this/)
  writeFileSync(file, 'username = "u"\npassword_file = "p"\n')
  t.equal(await refused({ id: 'a' }), '', 'what there was before is no reason')
  writeFileSync(file, 'wait = 2\n')
  t.match(
    await refused({ id: 'a' }),
    /^78 .*[\s\S]*unknown key "wait"/,
    'a file that is wrong already',
  )
  await t.rejects(readSettings('gateway', { id: 'a', others: [] }, file, piped('')), {
    code: 'usage',
  })
})

async function* piped(text: string): AsyncIterable<string> {
  yield text
}

interface Outcome {
  code: number
  out: string
  err: string
}

async function obelisk(...argv: string[]): Promise<Outcome> {
  return await obeliskGiven('', ...argv)
}

async function obeliskGiven(input: string, ...argv: string[]): Promise<Outcome> {
  const outcome: Outcome = { code: 0, out: '', err: '' }
  const stdin = piped(input)
  const stdout = { write: (text: string | Uint8Array) => (outcome.out += text) }
  const stderr = { write: (text: string | Uint8Array) => (outcome.err += text) }
  const environment = { PATH: process.env.PATH }
  outcome.code = await runCommand(argv, { stdout, stderr, stdin, environment }, '0')
  return outcome
}

/** A root with a Node, and a tree to install. */
function makeRoot(t: Test) {
  const directory = t.testdir({ root: { usr: { bin: { node: '' } } }, token: `${TOKEN}\n` })
  const root = join(directory, 'root')
  const key = makeKey()
  const tree = join(directory, 'tree')
  makeTree(tree, { version: '1.0.0', architecture: 'arm64', key })
  const at = (path: string): string => join(root, path)
  return { directory, root, tree, key, at }
}

t.test('another root: installed, again, changed, removed', async (t) => {
  const { directory, root, tree, at } = makeRoot(t)
  const words = ['install', '--role', 'agent', '--root', root, '--from', tree]
  const wishes = ['--id', 'edge-1', '--gateway', 'mqtts://gw:8883']
  const all = [...words, ...wishes, '--token-file', join(directory, 'token')]
  const dry = await obelisk(...all, '--dry-run')
  t.equal(dry.code, 0)
  t.match(dry.out, /^would put version 1\.0\.0/)
  t.same(readdirSync(root), ['usr'], 'a dry run changes nothing')
  t.notMatch(dry.out, TOKEN)
  const tokenless = await obelisk(...words, ...wishes)
  t.equal(tokenless.code, 78)
  t.match(tokenless.err, /not-enrolled|neither an identity nor a token/)

  const first = await obelisk(...all)
  t.equal(first.code, 0, first.err)
  t.equal(statSync(at('etc/obelisk/agent.toml')).mode & 0o777, 0o644)
  t.equal(readFileSync(at('etc/credstore/obelisk-enroll-token'), 'utf8'), TOKEN)
  t.equal(statSync(at('etc/credstore/obelisk-enroll-token')).mode & 0o777, 0o600)
  t.equal(statSync(at('etc/credstore')).mode & 0o777, 0o700)
  t.ok(
    lstatSync(
      at('etc/systemd/system/multi-user.target.wants/obelisk-agent.service'),
    ).isSymbolicLink(),
  )
  t.equal(readlinkSync(at('usr/bin/obelisk')), '/usr/lib/obelisk-agent/obelisk.mjs')
  t.notOk(existsSync(at('usr/lib/obelisk-agent.new')))
  t.equal((await obelisk(...all)).out, 'nothing to do: the agent is installed as wished\n')

  const file = at('etc/obelisk/agent.toml')
  writeFileSync(file, `# mine\n${readFileSync(file, 'utf8')}weight = 2 # heavy\n`)
  const changed = await obelisk(...words, '--id', 'edge-2', '--keepalive-seconds', '30')
  t.equal(changed.code, 0, changed.err)
  t.match(
    readFileSync(file, 'utf8'),
    /^# mine[\s\S]*id = "edge-2"[\s\S]*weight = 2 # heavy\nkeepalive_seconds = 30\n$/,
  )

  mkdirSync(at('var/lib/obelisk-agent/identity'), { recursive: true })
  writeFileSync(at('etc/credstore/obelisk-mqtt-password'), 'secret')
  writeFileSync(file, `username = "u" # old\n${readFileSync(file, 'utf8')}password_file = "p"\n`)
  const enrolled = await obelisk(...words)
  t.equal(enrolled.code, 0, enrolled.err)
  t.notMatch(readFileSync(file, 'utf8'), /username|password|old/)
  t.match(readFileSync(file, 'utf8'), /^# mine[\s\S]*keepalive_seconds = 30\n$/)
  t.same(readdirSync(at('etc/credstore')), [], 'no token that gave an identity, no password')
  t.equal((await obelisk(...words)).out, 'nothing to do: the agent is installed as wished\n')
  const again = await obeliskGiven(TOKEN, ...words, '--token-file', '-')
  t.match(again.out, /nothing to do/, 'with an identity a token is not looked at')

  const removed = await obelisk('uninstall', '--role', 'agent', '--root', root)
  t.equal(removed.code, 0, removed.err)
  t.match(removed.out, `kept (--purge removes it): ${file}`)
  t.notOk(existsSync(at('usr/lib/obelisk-agent')))
  t.ok(existsSync(file))
  t.equal((await obelisk('uninstall', '--role', 'agent', '--root', root, '--purge')).code, 0)
  t.notOk(existsSync(at('etc/obelisk')))
  t.notOk(existsSync(at('var/lib/obelisk-agent')))
  t.match((await obelisk('uninstall', '--role', 'agent', '--root', root)).out, /nothing to do/)
})

t.test('a tree that is not sound is refused, and nothing is left of it', async (t) => {
  const { root, tree, directory, at, key } = makeRoot(t)
  const words = ['install', '--role', 'agent', '--root', root, '--from']
  const attempt = async (path: string): Promise<string> => {
    const { code, err } = await obelisk(...words, path)
    return `${code} ${err}`
  }
  writeFileSync(join(tree, 'agent.mjs'), '// other\n')
  t.match(await attempt(tree), /^65 .*[\s\S]*agent\.mjs/)
  t.same(readdirSync(root), ['usr'])
  t.match(await attempt(directory), /^65 .*[\s\S]*package\.json/)
  t.match(await attempt(join(directory, 'none')), /^66 .*--from: ENOENT.*none/)
  const tarball = join(directory, 'obelisk.tar.gz')
  writeFileSync(tarball, '')
  t.match(await attempt(tarball), /^66 .*--from: .* is a file: unpack it first \(tar -xzf /)
  makeTree(tree, { version: '1.0.0', architecture: 'arm64', key })
  t.match(await attempt(tree), /^0 /)
  const foreign = makeTree(join(directory, 'foreign'), {
    version: '2.0.0',
    architecture: 'arm64',
    key: makeKey(),
  })
  t.match(
    await attempt(foreign),
    /^65 .*[\s\S]*trusted key/,
    'of another key than what is installed',
  )
  t.match(readFileSync(at('usr/lib/obelisk-agent/package.json'), 'utf8'), /1\.0\.0/)
  const owner = join(foreign, 'release-key.pem')
  const { code, err } = await obelisk(...words, foreign, '--release-key', owner)
  t.equal(code, 0, err)
  t.notOk(existsSync(at('usr/lib/obelisk-agent.previous')))
})

t.test(
  'a version from before the second signature is upgraded, and does not come back',
  async (t) => {
    const { root, directory, at, key } = makeRoot(t)
    const words = ['install', '--role', 'agent', '--root', root, '--from']
    const attempt = async (path: string, ...more: string[]): Promise<string> => {
      const { code, err } = await obelisk(...words, path, ...more)
      return `${code} ${err}`
    }
    const make = (version: string, owner: typeof key): string => {
      const options = { version, architecture: 'arm64', key: owner }
      return makeTree(join(directory, `v${version}`), options)
    }
    const installed = (): string => readFileSync(at('usr/lib/obelisk-agent/package.json'), 'utf8')
    const before = make('1.0.0', makeOldKey(key))
    t.match(await attempt(before), /^0 /)
    // Who brings another second key has to have the first one.
    const stranger = { ...makeKey().privateKey, ed25519: makeOldKey().privateKey.ed25519 }
    t.match(
      await attempt(make('1.5.0', { ...key, privateKey: stranger })),
      /^65 [\s\S]*trusted key/,
    )
    const half = make('1.6.0', key)
    rmSync(join(half, 'inventory.mldsa.sig'))
    t.match(await attempt(half), /^65 [\s\S]*inventory\.mldsa\.sig is missing/)
    t.match(installed(), /1\.0\.0/)

    t.match(await attempt(make('2.0.0', key)), /^0 /)
    t.match(installed(), /2\.0\.0/)
    t.match(await attempt(before), /^65 [\s\S]*inventory\.mldsa\.sig is missing: a package is sig/)
    const otherSecond = { ...makeKey().privateKey, ed25519: key.privateKey.ed25519 }
    const forged = make('2.5.0', { ...key, privateKey: otherSecond })
    t.match(await attempt(forged), /^65 [\s\S]*inventory\.mldsa\.sig is not a signature by the tr/)
    t.match(installed(), /2\.0\.0/)
    t.match(await attempt(before, '--release-key', join(before, 'release-key.pem')), /^0 /)
    t.match(installed(), /1\.0\.0/)
  },
)

t.test('a Node of the other root that Debian packaged is asked its version there', async (t) => {
  const { root, tree, at } = makeRoot(t)
  const status = at('var/lib/dpkg/status')
  mkdirSync(dirname(status), { recursive: true })
  const before = 'Package: nodejs-doc\nStatus: install ok installed\nVersion: 30.0.0\n\n'
  const install = async (state: string, version: string): Promise<string> => {
    writeFileSync(status, `${before}Package: nodejs\nStatus: ${state}\nVersion: ${version}\n\n`)
    const { code, err } = await obelisk(
      ...['install', '--role', 'agent', '--root', root, '--from', tree, '--dry-run'],
    )
    return `${code} ${err}`
  }
  const old = '18.20.4+dfsg-1~deb12u1'
  t.match(await install('install ok installed', old), /^71 .*\/usr\/bin\/node is Node 18\.20\.4; /)
  t.match(await install('deinstall ok config-files', old), /^0 /, 'it is of somebody else')
  t.match(await install('install ok installed', '1:20.19.2+dfsg-1'), /^0 /)
  const systemd = 'Package: systemd\nStatus: install ok installed\nVersion:'
  t.match(await install('x', `1\n\n${systemd} 247.3-7`), /^71 .*this is systemd 247; Obelisk needs/)
  t.match(await install('x', `1\n\n${systemd} 252.39-1~deb12u1`), /^0 /)
})

t.test('on a full disk it says so, and what was there stays', async (t) => {
  const { root, tree, at, key } = makeRoot(t)
  const disk = SmallDisk.mount(t, 2)
  if (disk === undefined) return
  disk.standInFor(at('usr/lib'))
  const words = ['install', '--role', 'agent', '--root', root, '--from', tree]
  t.equal((await obelisk(...words, '--id', 'edge-1')).code, 0)
  makeTree(tree, { version: '2.0.0', architecture: 'arm64', key })
  const big = join(tree, 'agent.mjs')
  disk.fillUpTo(statSync(big).size)
  const held = readdirSync(at('usr/lib'))
  const { code, err } = await obelisk(...words)
  t.equal(code, 73)
  t.match(err, /the disk of .*obelisk-agent is full/)
  t.same(readdirSync(at('usr/lib')), held, 'nothing half-written is left')
  t.match(readFileSync(at('usr/lib/obelisk-agent/package.json'), 'utf8'), /1\.0\.0/)
  disk.empty()
  t.equal((await obelisk(...words)).code, 0, 'with room again it goes on')
})

t.test('a disk without room for one more directory or link is full too', async (t) => {
  for (const path of ['etc', 'etc/systemd/system/multi-user.target.wants']) {
    await t.test(path, async (t) => {
      const { root, tree, at } = makeRoot(t)
      const disk = SmallDisk.mount(t, 1, 1)
      if (disk === undefined) return
      mkdirSync(dirname(at(path)), { recursive: true })
      disk.standInFor(at(path))
      const words = ['install', '--role', 'agent', '--root', root, '--from', tree]
      const { code, err } = await obelisk(...words)
      t.equal(code, 73, err)
      t.match(err, /the disk of .*etc.* is full: what was put in place before stays.*goes on/)
      t.ok(existsSync(at('usr/lib/obelisk-agent/package.json')), 'the steps before are whole')
      rmSync(at(path))
      t.equal((await obelisk(...words)).code, 0, 'the same command goes on')
    })
  }
})

t.test('a directory in the place of a file is named, and how to go on', async (t) => {
  const places = ['etc/obelisk/agent.toml', 'etc/systemd/system/obelisk-agent.service']
  for (const path of [...places, 'usr/bin/obelisk', 'usr/bin/obelisk.new']) {
    const { root, tree, at } = makeRoot(t)
    mkdirSync(at(path), { recursive: true })
    const common = ['--role', 'agent', '--root', root]
    const { code, err } = await obelisk('install', ...common, '--from', tree)
    t.equal(code, 66, path)
    t.match(err, new RegExp(`error: ${at(path).replace('.new', '')} is a directory.*move it away`))
    if (path.endsWith('.new')) continue
    const removed = await obelisk('uninstall', ...common)
    t.equal(removed.code, 66)
    t.match(removed.err, `error: ${at(path)} is a directory`)
    t.notOk(existsSync(at('usr/lib')), 'nothing was changed')
  }
  const { root, tree, at, directory } = makeRoot(t)
  writeFileSync(at('etc'), '')
  const words = ['install', '--role', 'agent', '--from', tree, '--root']
  t.match(await obelisk(...words, root), { code: 66, err: /has a file above it/ })
  t.match(await obelisk(...words, at('etc')), { code: 2, err: /etc is no directory/ })
  rmSync(at('etc'))
  t.match(await obelisk(...words, root, '--release-key', directory), {
    code: 66,
    err: `--release-key: ${directory}: EISDIR`,
  })
})

t.test('where rights are missing it says where, and to run it as root', async (t) => {
  const { root, tree, at } = makeRoot(t)
  const words = ['--role', 'agent', '--root', root]
  const asNobody = (...more: string[]) =>
    withoutRights(async () => await obelisk('install', ...words, '--from', tree, ...more))
  chmodSync(root, 0o555)
  const closed = await asNobody()
  chmodSync(root, 0o755)
  t.equal(closed.code, 77)
  t.match(closed.err, /error: .*root\/usr\/lib may not be changed: run it as root: sudo obelisk/)

  const hidden = at('var/lib/private')
  mkdirSync(join(hidden, 'obelisk-agent'), { recursive: true })
  chmodSync(hidden, 0o000)
  const dry = await asNobody('--dry-run')
  t.equal(dry.code, 77)
  t.match(dry.err, `error: ${hidden}/obelisk-agent may not be looked at: run it as root`)
  const options = { role: 'agent', root, isLive: false } as const
  const programs = new SystemPrograms(process.env)
  const facts = await withoutRights(async () => await collectFacts(options, programs))
  t.match(facts.node, { path: '/usr/bin/node' }, 'the rest is seen')
  t.same(
    facts.unseen.map(({ path }) => path),
    [`${hidden}/obelisk-agent`],
  )
  chmodSync(hidden, 0o700)
})

t.test('a file system that is read-only is told as such', async (t) => {
  const { root, tree, at } = makeRoot(t)
  const disk = SmallDisk.mount(t, 1)
  if (disk === undefined) return
  disk.standInFor(at('etc'))
  spawnSync('mount', ['-o', 'remount,ro', disk.path])
  const { code, err } = await obelisk('install', '--role', 'agent', '--root', root, '--from', tree)
  t.equal(code, 77)
  t.match(err, /etc\/obelisk is on a file system that is read-only: mount it for writing/)
})

/** A `systemctl` of a script: what it was told is in `calls`, what it shows in `state`. */
function fakeSystemctl(directory: string) {
  const bin = join(directory, 'bin')
  mkdirSync(bin)
  writeFileSync(
    join(bin, 'systemctl'),
    `#!/bin/sh
echo "$*" >>${directory}/calls
case "$1" in
  show) cat ${directory}/state ;;
  --no-block) v=$(sed -n 's,^// ,,p' ${directory}/root/usr/lib/obelisk-agent/agent.mjs)
    cp "${directory}/state-$v" ${directory}/state ;;
esac
`,
  )
  chmodSync(join(bin, 'systemctl'), 0o755)
  const state = (version: string, text: string): void =>
    writeFileSync(join(directory, `state-${version}`), text)
  return { path: `${bin}:${process.env.PATH}`, state }
}

t.test('an upgrade that does not become ready is taken back', async (t) => {
  const { directory, root, tree, at, key } = makeRoot(t)
  const { path, state } = fakeSystemctl(directory)
  const active = 'ActiveState=active\nNRestarts=0\nUnitFileState=enabled\n'
  state('1.0.0', `${active}StatusText=joined mqtt://gw as edge-1\n`)
  state('2.0.0', `${active}StatusText=waiting for mqtt://gw\n`)
  state('3.0.0', 'ActiveState=failed\nExecMainStatus=78\n')
  state('4.0.0', `${active}StatusText=joined mqtt://gw as edge-1\n`)
  const programs = new SystemPrograms({ PATH: path })
  const limits = { startMs: 10_000, steadyMs: 100, joinMs: 2000 }
  const said: string[] = []
  const performer = new Performer({ root, limits }, programs, (line) => said.push(line))
  const facts = (version: string, from: Facts): Facts => {
    makeTree(tree, { version, architecture: 'arm64', key })
    const unitText = readFileSync(join(tree, 'systemd/obelisk-agent.service'), 'utf8')
    const offered = { ...TREE, path: tree, version, inventory: version, unitText }
    return { ...from, offered, offeredCopy: tree }
  }
  const bare = facts('1.0.0', BARE)
  await performer.perform(planInstall(bare, WISHES))
  const entries = { ...ENTRIES, [UNIT_FILE]: { text: bare.offered!.unitText } }
  const installed: Facts = { ...INSTALLED, tree: bare.offered, entries }
  const version = (): string => readFileSync(at('usr/lib/obelisk-agent/agent.mjs'), 'utf8')

  for (const [next, reason] of [
    ['2.0.0', /did not join within/],
    ['3.0.0', /ended with 78/],
  ] as const) {
    const upgrade = facts(next, installed)
    await t.rejects(performer.perform(planInstall(upgrade, WISHES)), { message: reason })
    t.equal(version(), `// ${next}\n`)
    await performer.perform(planGoingBack(upgrade, WISHES))
    t.equal(version(), '// 1.0.0\n')
    t.equal(
      readFileSync(at('etc/systemd/system/obelisk-agent.service'), 'utf8'),
      bare.offered!.unitText,
    )
    t.same(readdirSync(at('usr/lib')), ['obelisk-agent'], 'nothing else is left')
  }
  await performer.perform(planInstall(facts('4.0.0', installed), WISHES))
  t.equal(version(), '// 4.0.0\n')
  t.same(readdirSync(at('usr/lib')), ['obelisk-agent'])
  const calls = readFileSync(join(directory, 'calls'), 'utf8')
  t.match(calls, /daemon-reload\nreset-failed .*\n--no-block restart /)
})

t.test('misuse is told, with its exit code', async (t) => {
  const { root } = makeRoot(t)
  const code = async (...argv: string[]): Promise<number> => (await obelisk(...argv)).code
  t.equal(await code('install', '--root', root), 2, 'no role')
  t.equal(await code('install', '--role', 'agent', '--root', root), 2, 'no tree')
  t.equal(await code('install', '--role', 'agent', '--root', '/none'), 2)
  t.equal(await code('install', '--role', 'agent', '--root', root, '--id', 'a b'), 2)
  if (existsSync('/run/systemd/system')) t.comment('systemd runs here; not tried without it')
  else t.equal(await code('install', '--role', 'agent', '--id', 'a'), 71, 'no systemd')
})
