/** `gateway secure`: keys for a gateway, its configuration, and what a person does next. */
import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { isHostName } from '../../shared/runtime/host-names.ts'
import { isThere } from '../../shared/runtime/private-folder.ts'
import { pinOf as pinIn } from '../doctor/security-facts.ts'
import { usage } from '../fault.ts'
import { placesOf } from '../install/places.ts'
import { configurationText } from '../install/settings.ts'
import { SystemPrograms } from '../install/system-programs.ts'
import { inWords } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'
import type { Flags } from './command-place.ts'
import type { OwnPrograms } from './own-programs.ts'
import { calledAs, type Streams } from './streams.ts'
import { whileDown } from './while-down.ts'

export type SecureFlags = Flags<'host' | 'httpHost' | 'data'>

const PORT = 8883
const HTTP_PORT = 8025
/** Where a gateway that is started by hand has its data. */
const DATA = './obelisk-gateway'
const READABLE = 0o644

export async function secure(
  { host, httpHost, data: given }: SecureFlags,
  streams: Streams,
  makeKeys: OwnPrograms['makeKeys'],
): Promise<number> {
  assertHosts({ '--host': host, '--http-host': httpHost })
  const { unit, configuration } = placesOf('gateway')
  const { data, isService } = placeOfGateway(given)
  const folder = join(data, 'security')
  const isNew = !isThere(folder)
  const make = async (): Promise<number> => {
    const code = isNew ? await inWords(data, 'changed', () => makeKeys(data)) : EXIT_DONE
    if (code === EXIT_DONE && isService) configure(configuration, { host, httpHost })
    return code
  }
  const programs = new SystemPrograms(streams.environment)
  // Where it has a user of its own, nothing of his is to run while root makes files for him.
  const code = isService ? await whileDown(programs, unit, make) : await make()
  if (code !== EXIT_DONE) return code
  streams.stdout.write(`${isNew ? 'made' : 'there are'} the keys of this fleet: ${folder}\n`)
  streams.stdout.write(`its pin, which every token carries: ${pinOf(folder)}\n`)
  const called = isService ? 'obelisk' : calledAs(streams)
  if (!isService) {
    const where = host === undefined ? '' : ` --host ${host}`
    const httpWhere = httpHost === undefined ? '' : ` --http-host ${httpHost}`
    streams.stdout.write(`\nstart it:       ${called} gateway --data ${data}${where}${httpWhere}\n`)
  }
  const own = `${hostname()}.local`
  const at = `mqtts://${own}:${PORT}`
  const owner = isService ? `sudo ${called}` : called
  // There a board most likely has a checkout, too.
  const isHere = called !== 'obelisk'
  const onBoard = isHere
    ? `${called} agent --id n7 --url ${at} --enroll-token-file n7.token`
    : `sudo obelisk install --role agent --id n7 --gateway ${at} --token-file -`
  // Elsewhere no command looks for the owner's socket by itself.
  const isFound = isService || resolve(data) === resolve(DATA)
  const http = isFound ? '' : ` --http unix:${resolve(data, 'admin.sock')}`
  streams.stdout.write(
    [
      `then a token:   ${owner} token create n7${http}${isHere ? ' > n7.token' : ''}`,
      `and on a board: ${onBoard}`,
      `people, too:    ${owner} user add ann --role operator${http}; ${owner} user token create ann${http}`,
      ...(httpHost === undefined
        ? []
        : [`from elsewhere: ${called} login https://${own}:${HTTP_PORT}`]),
      `and keep them:  ${owner} ca backup <file>${http}, or each board needs a new token when this disk dies`,
      '',
    ].join('\n'),
  )
  return EXIT_DONE
}

export function assertHosts(hosts: Readonly<Record<string, string | undefined>>): void {
  for (const [flag, given] of Object.entries(hosts)) {
    if (given === undefined || isHostName(given)) continue
    throw usage(`${flag}: "${given}" is no host name and no address`)
  }
}

/** Of the service of this machine, or of one that is started by hand. */
export function placeOfGateway(given: string | undefined): {
  readonly data: string
  readonly isService: boolean
} {
  const { unitFile, packagedUnitFile, state } = placesOf('gateway')
  const isService = given === undefined && [unitFile, packagedUnitFile].some(existsSync)
  return { data: given ?? (isService ? state : DATA), isService }
}

function pinOf(folder: string): string {
  const path = join(folder, 'ca.crt')
  return inWords(path, 'looked at', () => pinIn(readFileSync(path)))
}

/** From now on it never starts without its keys. */
export function configure(
  path: string,
  {
    host,
    httpHost,
  }: { readonly host?: string | undefined; readonly httpHost?: string | undefined },
): void {
  const values = {
    ...{ security: 'on', ...(host === undefined ? {} : { host }) },
    ...(httpHost === undefined ? {} : { http_host: httpHost }),
  }
  inWords(path, 'changed', () => {
    const present = existsSync(path) ? readFileSync(path, 'utf8') : undefined
    writeWhole(path, configurationText('gateway', { values }, present), READABLE)
  })
}
