/** What a board is to be, checked before anything is touched: for a card and for user-data alike. */
import { readFile } from 'node:fs/promises'
import { AGENT } from '../../firmware-agent/config.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'
import { EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'
import { hostnameOf, isHostname, type Wifi, wifiProblems } from './board-files.ts'
import { unreadable } from './image-error.ts'

export interface BoardFlags {
  readonly id?: string
  readonly gateway?: string
  readonly username?: string
  readonly passwordFile?: string
  readonly hostname?: string
  readonly wifi?: string
  readonly wifiPasswordFile?: string
  readonly country?: string
  readonly sshKey?: string
}

export interface BoardWishes {
  readonly id: string
  readonly gateway: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly hostname: string | undefined
  readonly wifi: Wifi | undefined
  /** Public keys, one a line. */
  readonly sshKeys: string | undefined
}

/** Throws ConfigError with every problem at once, or AppError for a file that cannot be read. */
export async function readBoardWishes(flags: BoardFlags): Promise<BoardWishes> {
  const problems = [...missing(flags), ...(await agentProblems(flags))]
  const password = await secretOf(flags.passwordFile, '--password-file')
  const wifiPassword = await secretOf(flags.wifiPasswordFile, '--wifi-password-file')
  const sshKeys = await textOf(flags.sshKey, '--ssh-key')
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
  return {
    id,
    gateway,
    username: flags.username,
    password,
    hostname: hostname ?? hostnameOf(id),
    wifi,
    sshKeys,
  }
}

function missing(flags: BoardFlags): string[] {
  const problems: string[] = []
  if (flags.id === undefined) problems.push('--id: say how the board is called in the fleet')
  if (flags.gateway === undefined)
    problems.push('--gateway: say where the gateway is, as mqtt://host:1883')
  if (flags.wifi !== undefined && flags.country === undefined) {
    problems.push('--country: the Wi-Fi needs the country that the board is in, like DE')
  }
  const alone = flags.wifi === undefined && (flags.wifiPasswordFile ?? flags.country)
  if (alone) problems.push('--wifi: say the name of the network')
  return problems
}

/** By the table that the agent itself reads. */
async function agentProblems(flags: BoardFlags): Promise<string[]> {
  const { id, gateway, username, passwordFile } = flags
  const given = { id, url: gateway, username, 'password-file': passwordFile }
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

async function textOf(path: string | undefined, flag: string): Promise<string | undefined> {
  if (path === undefined) return undefined
  return await readFile(path, 'utf8').catch((error) => {
    throw unreadable(flag, new Error(messageOf(error)))
  })
}

async function secretOf(path: string | undefined, flag: string): Promise<string | undefined> {
  const text = (await textOf(path, flag))?.replace(/\r?\n$/, '')
  if (text === '') throw unreadable(flag, new Error(`${path} is empty`))
  return text
}

function arePublicKeys(text: string): boolean {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const key = /(?:^|\s)(?:ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]{20,}=*(?:\s|$)/
  return lines.length > 0 && lines.every((line) => key.test(line))
}

/** Words of `obelisk install` on the board; the password goes there as a file of its own. */
export function installArguments({ id, gateway, username }: BoardWishes): string[] {
  return [
    ...['--id', id, '--gateway', gateway],
    ...(username === undefined ? [] : ['--username', username]),
  ]
}
