/** What a gateway is told of a package before it keeps it: one line of JSON, made in a process of its own. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../shared/runtime/errors.ts'
import { PUBLIC_KEY_FILE, readInventory, verifyTree } from './inventory.ts'
import { fingerprintOf, parsePublicKeys } from './signing-keys.ts'
import { unpackPackage } from './untar.ts'

const SHOWN_MAX = 5

/**
 * Unpacks the archive to `work`, which is made, and looks whether it is signed by the keys in `keyFile`; where there is no
 * such file, by its own, and by whom that is, is told.
 */
export async function describePackage(
  archive: string,
  work: string,
  keyFile: string,
): Promise<string> {
  try {
    await unpackPackage(archive, work)
    const key = readFileSync(existsSync(keyFile) ? keyFile : join(work, PUBLIC_KEY_FILE), 'utf8')
    const problems = verifyTree(work, key).map(({ path, message }) => `${path} ${message}`)
    const { version, role, architecture, protocol, downgradeFrom } = readInventory(work)
    const signedBy = fingerprintOf(parsePublicKeys(key)!)
    return JSON.stringify({
      ...{ version, role, architecture, protocol, downgradeFrom, signedBy },
      problems: problems.slice(0, SHOWN_MAX),
    })
  } catch (error) {
    return JSON.stringify({ problems: [`it is no package: ${messageOf(error)}`] })
  }
}
