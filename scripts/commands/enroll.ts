/** `agent enroll`: has the agent of this machine, a service or one that is started by hand, take an identity. */
import { existsSync } from 'node:fs'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import type { Environment } from '../../shared/runtime/option-table.ts'
import { type Places, placesOf } from '../install/places.ts'
import { SystemPrograms } from '../install/system-programs.ts'
import { readNodeToken } from '../node-token.ts'
import type { Flags } from './command-place.ts'
import type { Streams } from './streams.ts'
import { whileDown } from './while-down.ts'

export type EnrolFlags = Flags<'tokenFile' | 'data', 'again'>

/** Has the agent's program enrol; rejects with an AppError where that fails. */
export type Enrol = (argv: readonly string[], environment: Environment) => Promise<number>

export interface EnrolPlace {
  readonly places: Places
  readonly programs: SystemPrograms
}

export async function enroll(
  flags: EnrolFlags,
  others: readonly string[],
  streams: Streams,
  enrol: Enrol,
  at: EnrolPlace = {
    places: placesOf('agent'),
    programs: new SystemPrograms(streams.environment),
  },
): Promise<number> {
  const { tokenFile, again, data } = flags
  // First: somebody may have to type it.
  const token = tokenFile === undefined ? undefined : await readNodeToken(tokenFile, streams.stdin)
  const argv = [
    ...(again ? ['--again'] : []),
    ...(token === undefined ? [] : [`--token=${token}`]),
    ...(data === undefined ? [] : ['--data', data]),
    ...others,
  ]
  const { unit, unitFile, packagedUnitFile, state } = at.places
  const isService = data === undefined && [unitFile, packagedUnitFile].some(existsSync)
  if (!isService) {
    const code = await enrol(argv, streams.environment)
    if (code === EXIT_DONE) streams.stdout.write('an agent that runs shows it at its next start\n')
    return code
  }
  const own = { ...streams.environment, STATE_DIRECTORY: state }
  // It has the store's lock, and may make a key itself. Up again also where it got nothing: it had an identity before.
  return await whileDown(at.programs, unit, () => enrol(argv, own), { isAwaited: false })
}
