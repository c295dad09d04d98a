/** Users of a secured gateway: who they are, what they may do, and what proves them. */
import { type Command, InvalidArgumentError } from 'commander'
import type { UserView } from '../../broker/adapters/http-port.ts'
import { count } from '../../shared/core/count.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { ROLES } from '../../shared/protocol/access.ts'
import { choiceOf } from '../../shared/protocol/problems.ts'
import { assertHidden } from '../client/node-carrier.ts'
import { fault, usage } from '../fault.ts'
import { textIn } from '../path-faults.ts'
import {
  type Asked,
  at,
  type CommandGroup,
  demand,
  type Flags,
  given,
  remove,
  say,
  show,
} from './command-place.ts'
import { day, printableLines, type Streams, table, when } from './streams.ts'
import { assertName, regionIn } from './task-request.ts'
import { hoursOf } from './token.ts'
import { typedOr } from './typed-input.ts'

type RightsFlags = Flags<'passwordFile', 'password' | 'disable' | 'enable'> & {
  readonly [name in 'role' | 'op' | 'region' | 'field' | 'topic']?: readonly string[]
}

function more(text: string, before: readonly string[] = []): string[] {
  const parts = text.split(/[,\s]+/).filter((part) => part !== '')
  if (parts.length > 0) return [...before, ...parts]
  throw new InvalidArgumentError('it names nothing.')
}
const whole = (text: string, before: readonly string[] = []): string[] => [...before, text]

export function addUserCommands(obelisk: CommandGroup): void {
  const user = obelisk.group('user', 'people and programs that may use a secured gateway')
  const rights = (command: Command): Command =>
    command
      .option('--role <roles>', 'viewer, submitter, operator, admin; several add up', more)
      .option('--op <names>', 'operations that a submitter may ask for; * is all', more)
      .option('--region <x,y,w,h>', 'LSUs that its tasks lie in; several; * is all', whole)
      .option('--field <names>', 'fields that its tasks use; * is all', more)
      .option('--topic <filter>', 'MQTT topics outside the base that it may use; several', whole)
      .option('--password-file <file>', 'its password; - is the standard input')
  rights(user.asks('add <name>', addUser))
    .description('add a user, and ask for its password; a submitter may do all that is not said')
    .option('--no-password', 'it will have a token, or a key')
  rights(user.asks('set <name>', setUser))
    .description('change what a user may do; it is logged out for that, and what is not said stays')
    .option('--disable', 'it may do nothing')
    .option('--enable', 'it may do again what it may')
  user
    .asks('passwd <name>', passwd)
    .description('give a user another password')
    .option('--password-file <file>', 'the password; - is the standard input')
  user
    .asks('rm <name>', (asked, name: string) =>
      remove(asked, pathOf(name), `user ${name} is removed`),
    )
    .description('remove a user, with its tokens and keys')
  user.asks('ls', listUsers).description('list the users')
  addProofs(user)
}

function addProofs(user: CommandGroup): void {
  const token = user.group('token', 'tokens of programs, in place of a password')
  token
    .asks('create <name>', createToken)
    .description('make one; it is shown this once')
    .option('--ttl <time>', 'how long it is good: 24h or 90d (default 90d)')
    .option('--label <text>', 'what it is for')
  token
    .asks('revoke <name> <id>', (asked, name: string, id: string) => {
      const path = at`/api/identities/user/${name}/tokens/${id}`
      return remove(asked, path, `token ${id} is worth nothing now`)
    })
    .description('make one worthless')
  const key = user.group('key', 'keys of certificates, in place of a password')
  key
    .asks('add <name> <public.pem>', addKey)
    .description('know a user by a P-256 key, and print the certificate for it')
    .option('--label <text>', 'what it is for')
  key
    .asks('rm <name> <sha256>', (asked, name: string, sha256: string) => {
      const path = at`/api/identities/user/${name}/keys/${sha256}`
      return remove(asked, path, 'the key opens nothing now')
    })
    .description('forget one for good')
}

async function createToken(asked: Asked<Flags<'ttl' | 'label'>>, name: string): Promise<number> {
  const { gateway, flags } = asked
  const wish = { label: flags.label ?? '', ttl_hours: given(flags.ttl, hoursOf) }
  const made = await demand<{ token: string }>(gateway, 'POST', `${pathOf(name)}/tokens`, wish)
  assertHidden(gateway)
  return say(asked, made, made.token)
}

async function addKey(asked: Asked<Flags<'label'>>, name: string, file: string): Promise<number> {
  const wish = { label: asked.flags.label ?? '', key: publicKeyOf(file) }
  const made = await demand<{ certificate: string }>(
    asked.gateway,
    'POST',
    `${pathOf(name)}/keys`,
    wish,
  )
  return show(asked, made, `${printableLines(made.certificate.trimEnd())}\n`)
}

async function addUser(asked: Asked<RightsFlags>, name: string): Promise<number> {
  const { gateway, streams, flags } = asked
  assertName(name, 'a user')
  const rights = orderOf(flags)
  if (flags.role === undefined && flags.topic === undefined) {
    throw usage('--role: say what it may do: viewer, submitter, operator or admin')
  }
  const wanted = flags.password !== false
  if (wanted) assertHidden(gateway)
  const password = wanted ? await passwordOf(flags, streams, name) : undefined
  const { ops = '*', regions = '*', fields = '*' } = rights.grant ?? {}
  const isGranted = flags.role?.includes('submitter') || rights.grant !== undefined
  const grant = isGranted ? { ops, regions, fields } : undefined
  const view = await demand<UserView>(gateway, 'POST', pathOf(name), { ...rights, grant, password })
  return say(asked, view, `user ${name} is ${view.roles.join(' and ') || 'added'}`)
}

async function setUser(asked: Asked<RightsFlags>, name: string): Promise<number> {
  const { gateway, streams, flags } = asked
  const rights = orderOf(flags)
  if (flags.disable && flags.enable) throw usage('--disable and --enable: say one of them')
  const hasPassword = flags.passwordFile !== undefined
  if (hasPassword) assertHidden(gateway)
  const password = hasPassword ? await passwordOf(flags, streams, name) : undefined
  const disabled = flags.disable ?? (flags.enable ? false : undefined)
  const order = { ...rights, password, disabled }
  const isNothing = Object.values(order).every((one) => one === undefined)
  if (isNothing) throw usage('say what is to change: see --help')
  const view = await demand<UserView>(gateway, 'PUT', pathOf(name), order)
  const isIdle = view.roles.includes('submitter') && view.grant === undefined
  const but = isIdle ? ', and may submit nothing yet: --op, --region and --field say what' : ''
  const what = view.roles.join(' and ') || 'changed'
  return say(asked, view, `user ${name} is ${what}${but}`)
}

async function passwd(asked: Asked<Flags<'passwordFile'>>, name: string): Promise<number> {
  const { gateway, streams, flags } = asked
  assertHidden(gateway)
  const password = await passwordOf(flags, streams, name)
  const view = await demand<UserView>(gateway, 'PUT', pathOf(name), { password })
  return say(asked, view, `user ${name} has another password`)
}

async function listUsers(asked: Asked): Promise<number> {
  const { gateway, streams } = asked
  const users = await gateway.json<UserView[]>({ path: '/api/identities/user' })
  const text = table(streams, users, [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'ROLES', text: ({ roles }) => roles.join(',') },
    { title: 'BY', text: proofsOf },
    { title: 'STATE', text: ({ disabledTs }) => (disabledTs === undefined ? 'on' : 'off') },
    { title: 'ADDED', text: ({ createdTs }) => when(createdTs) },
    { title: 'LAST', text: ({ lastTs }) => (lastTs === undefined ? 'never' : day(lastTs)) },
  ])
  return show(asked, users, text)
}

function proofsOf({ hasPassword, tokens, keys }: UserView): string {
  const some = [
    ...(hasPassword ? ['password'] : []),
    ...(tokens.length > 0 ? [count(tokens.length, 'token')] : []),
    ...(keys.length > 0 ? [count(keys.length, 'key')] : []),
  ]
  return some.join(', ') || 'nothing'
}

/** What the flags say; what they do not stays. */
function orderOf({ role, op, region, field, topic }: RightsFlags) {
  for (const one of role ?? []) {
    if (ROLES.some((known) => known === one)) continue
    throw usage(`--role: there is no role "${one}"${choiceOf(one, ROLES)}`)
  }
  const isGranted = [op, region, field].some((one) => one !== undefined)
  const grant = {
    ops: given(op, (names) => orAll(names, (name) => name)),
    regions: given(region, (texts) => orAll(texts, regionOf)),
    fields: given(field, (names) => orAll(names, (name) => name)),
  }
  return { roles: role, topics: topic, grant: isGranted ? grant : undefined }
}

function orAll<T>(texts: readonly string[], read: (text: string) => T): '*' | T[] {
  return texts.includes('*') ? '*' : texts.map(read)
}

function regionOf(text: string): Region {
  const region = regionIn(text)
  if (region !== undefined && region.w > 0 && region.h > 0) return region
  throw usage(`--region: "${text}" is not <x>,<y>,<w>,<h>, of one LSU at least`)
}

async function passwordOf(
  { passwordFile }: Flags<'passwordFile'>,
  streams: Streams,
  name: string,
): Promise<string> {
  const typed = { noun: 'password', question: `password of ${name}: `, isNew: true }
  return await typedOr(passwordFile, streams, typed)
}

/** PEM. A secret does not leave this machine, whatever the gateway would say of it. */
function publicKeyOf(path: string): string {
  const text = textIn(path)
  if (!text.includes('PRIVATE KEY')) return text
  const message = `${path} is the private half: give the public one, as openssl ec -pubout writes it`
  throw fault('key-unsuitable', message)
}

function pathOf(name: string): string {
  return at`/api/identities/user/${name}`
}
