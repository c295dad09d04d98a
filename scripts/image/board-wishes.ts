/** What a board is to be, checked before anything is touched: for a card and for user-data alike. */
import { checkUrl, isSecure, tokenInClear } from '../../firmware-agent/adapters/enrolment.ts'
import { AGENT } from '../../firmware-agent/config.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'
import { EXIT_USAGE } from '../../shared/runtime/errors.ts'
import type { Flags } from '../commands/command-place.ts'
import { fault, namedText, unreadable } from '../fault.ts'
import { readNodeToken, type TokenInput } from '../node-token.ts'
import { hostnameOf, isHostname, type Wifi, wifiProblems } from './board-files.ts'

export type BoardFlags = Flags<
  'id' | 'gateway' | 'tokenFile' | 'hostname' | 'wifi' | 'wifiPasswordFile' | 'country' | 'sshKey'
>

export interface BoardWishes {
  readonly id: string
  readonly gateway: string
  /** For the identity of a node of a secured gateway. */
  readonly token: string | undefined
  readonly hostname: string | undefined
  readonly wifi: Wifi | undefined
  /** Public keys, one a line. */
  readonly sshKeys: string | undefined
}

export interface TokenSources {
  readonly input: TokenInput
  /** Makes one, where the gateway's own machine is this; nothing elsewhere. */
  readonly create: (id: string) => Promise<string | undefined>
}

/** Throws ConfigError with every problem at once, or AppError for a file that cannot be read. */
export async function readBoardWishes(
  flags: BoardFlags,
  tokens: TokenSources,
): Promise<BoardWishes> {
  const problems = [...missing(flags), ...(await agentProblems(flags))]
  const { wifiPasswordFile, sshKey } = flags
  const wifiPassword = wifiPasswordFile && secretIn('--wifi-password-file', wifiPasswordFile)
  const sshKeys = sshKey === undefined ? undefined : namedText('--ssh-key', sshKey)
  let wifi: Wifi | undefined
  if (flags.wifi !== undefined && flags.country !== undefined) {
    wifi = { ssid: flags.wifi, password: wifiPassword, country: flags.country }
    problems.push(...wifiProblems(wifi))
  }
  const { id = '', gateway = '', hostname } = flags
  if (hostname !== undefined && !isHostname(hostname)) {
    problems.push(`--hostname: "${hostname}" is not a host name`)
  }
  if (sshKeys !== undefined && !arePublicKeys(sshKeys)) {
    const isPrivate = sshKeys.includes('PRIVATE KEY')
    const what = isPrivate ? 'is a private key; name the .pub file' : 'is not a public ssh key'
    problems.push(`--ssh-key: ${flags.sshKey} ${what}`)
  }
  if (problems.length > 0) throw new ConfigError(problems, EXIT_USAGE)
  checkUrl(gateway)
  return {
    id,
    gateway,
    token: await tokenOf(id, gateway, flags.tokenFile, tokens),
    hostname: hostname ?? hostnameOf(id),
    wifi,
    sshKeys,
  }
}

async function tokenOf(
  id: string,
  gateway: string,
  file: string | undefined,
  { input, create }: TokenSources,
): Promise<string | undefined> {
  const given = file === undefined ? undefined : await readNodeToken(file, input)
  if (!isSecure({ url: gateway })) {
    if (given === undefined) return undefined
    throw tokenInClear({ url: gateway }, 'gateway')
  }
  const token = given ?? (await create(id))
  if (token !== undefined) return token
  const message = `${gateway} asks a board for a token: obelisk token create ${id} on the gateway, then --token-file`
  throw fault('not-enrolled', message)
}

function missing(flags: BoardFlags): string[] {
  const problems: string[] = []
  if (flags.id === undefined) problems.push('--id: say how the board is called in the fleet')
  if (flags.gateway === undefined)
    problems.push('--gateway: say where the gateway is, as mqtts://host:8883')
  if (flags.wifi !== undefined && flags.country === undefined) {
    problems.push('--country: the Wi-Fi needs the country that the board is in, like DE')
  }
  const alone = flags.wifi === undefined && (flags.wifiPasswordFile ?? flags.country)
  if (alone) problems.push('--wifi: say the name of the network')
  return problems
}

/** By the table that the agent itself reads. */
async function agentProblems(flags: BoardFlags): Promise<string[]> {
  const { id, gateway } = flags
  const given = { id, url: gateway }
  const argv = Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([flag, value]) => `--${flag}=${value}`)
  try {
    await loadConfig(AGENT, ['--config=/dev/null', ...argv], {})
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) => problem.replace(/^--url\b/, '--gateway'))
  }
}

function secretIn(flag: string, path: string): string {
  const text = namedText(flag, path).replace(/\r?\n$/, '')
  if (text === '') throw unreadable(flag, new Error(`${path} is empty`))
  return text
}

function arePublicKeys(text: string): boolean {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const key = /(?:^|\s)(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]{20,}=*(?:\s|$)/
  return lines.length > 0 && lines.every((line) => key.test(line))
}

/** Words of `obelisk install` on the board; the token goes there as a file of its own. */
export function installArguments({ id, gateway }: BoardWishes): string[] {
  return ['--id', id, '--gateway', gateway]
}
