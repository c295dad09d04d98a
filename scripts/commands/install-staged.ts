/**
 * `obelisk install --staged`: the version that the gateway has sent, which the agent has put aside and asks for. It must be
 * signed by the keys of the version that is installed, both of them, and be newer. What becomes of it is written where the
 * agent reads it. Without a request of this start of the machine only what power has cut off is brought to its end.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { compareVersions, mayReplace } from '../../shared/core/versions.ts'
import type { UpgradeOutcome } from '../../shared/protocol/upgrade-messages.ts'
import { architectureOf } from '../../shared/runtime/architecture.ts'
import { AppError, EXIT_DONE } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import { placesOf, under } from '../install/places.ts'
import { type StagedRequest, StagingPlace, untrusted } from '../install/staged-package.ts'
import { isSound, readTree, type TreeFacts, trustedKeyOf } from '../install/tree.ts'
import { readInventory } from '../package/inventory.ts'
import { parsePublicKeys } from '../package/signing-keys.ts'
import { writeWhole } from '../whole-file.ts'
import { type InstallFlags, install } from './install.ts'
import type { Streams } from './streams.ts'

const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const OUTCOME_FILE = 'outcome.json'

/** Answers with the exit code. Throws AppError, once the outcome is written. */
export async function installStaged(
  flags: InstallFlags,
  streams: Streams,
  installer: typeof install = install,
): Promise<number> {
  const { root = '/' } = flags
  const { privateState, upgradeRuntime } = placesOf('agent')
  const runtime = under(root, upgradeRuntime)
  const work = join(runtime, 'work')
  mkdirSync(runtime, { recursive: true })
  rmSync(work, { recursive: true, force: true })
  const place = StagingPlace.open(under(root, privateState))
  let request: StagedRequest | undefined
  try {
    request = place?.request()
    const isOfNow = request?.boot === readFileSync(BOOT_ID, 'utf8').trim()
    if (place === undefined || request === undefined || !isOfNow)
      return await finish(flags, streams)
    const from = await place.unpack(request, work)
    const isNew = checkPackage(from, flags)
    // The same once more, after a start that was cut off: it is only confirmed.
    const code = isNew ? await installer({ ...flags, from }, [], streams) : EXIT_DONE
    tell(runtime, request, { outcome: 'ready' })
    return code
  } catch (error) {
    if (request !== undefined) tell(runtime, request, outcomeOf(error))
    throw error
  } finally {
    place?.close()
    rmSync(work, { recursive: true, force: true })
  }
}

/** A version that was put in place, and not confirmed when power failed. */
async function finish(flags: InstallFlags, streams: Streams): Promise<number> {
  const { root = '/' } = flags
  const previous = readTree(under(root, placesOf('agent').previous))
  if (previous !== undefined) return await install(flags, [], streams)
  streams.stdout.write('nothing is asked for\n')
  return EXIT_DONE
}

/** False if that very package is installed. Throws AppError unless it may be put in the place of what is. */
function checkPackage(from: string, { root = '/' }: InstallFlags): boolean {
  const places = placesOf('agent')
  const [tree, previous] = [places.tree, places.previous].map((path) => under(root, path))
  // Never the package's own.
  const key = trustedKeyOf([tree!, previous!])
  if (key === undefined || parsePublicKeys(key)?.mlDsa65 === undefined) {
    throw untrusted(
      'the version that runs does not have both keys of its releases: upgrade by hand',
    )
  }
  const offered = readTree(from, key)
  if (offered === undefined) throw untrusted('there is nothing in the package')
  if (!isSound(offered)) throw untrusted(`the package is not sound: ${offered.problems[0]}`)
  if (offered.role !== 'agent') throw untrusted(`it is of the ${offered.role}`)
  if (offered.architecture !== architectureOf(process.arch))
    throw untrusted(`it is for ${offered.architecture}`)
  const installed = readTree(tree!)
  if (isSound(installed) && installed.inventory === offered.inventory) return false
  checkVersion(offered, isSound(installed) ? installed : undefined)
  return true
}

function checkVersion({ path, version }: TreeFacts, installed: TreeFacts | undefined): void {
  if (installed === undefined || compareVersions(version, installed.version) > 0) return
  if (mayReplace(readInventory(path).downgradeFrom, installed.version)) return
  const message = `it is version ${version}, and ${installed.version} is installed`
  throw fault('package-older', message)
}

function outcomeOf(error: unknown): Omit<UpgradeOutcome, 'sha256'> {
  const isFull = (error as NodeJS.ErrnoException).code === 'ENOSPC'
  const code = error instanceof AppError ? error.code : isFull ? 'no-room' : 'install-failed'
  return code === 'went-back'
    ? { outcome: 'went-back', code: 'upgrade-went-back' }
    : { outcome: 'refused', code }
}

function tell(
  runtime: string,
  { id, sha256 }: StagedRequest,
  outcome: Omit<UpgradeOutcome, 'sha256'>,
): void {
  const told = { request: id, sha256, ...outcome }
  writeWhole(join(runtime, OUTCOME_FILE), `${JSON.stringify(told)}\n`, 0o644)
}
