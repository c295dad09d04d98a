/**
 * The programs as packages have them, made of these sources: single files, which start in half the time that the
 * many files of a checkout take. Kept in `.tap/programs/` for all processes and runs until a source changes.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hostArchitecture, isPackaged, ROLES } from '../../scripts/package/architectures.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FOLDER = join(ROOT, '.tap/programs')
const SOURCES = ['broker', 'firmware-agent', 'scripts', 'shared', 'package-lock.json']

/** What `obelisk` runs: that of a package, or, on a machine that there is none for, that of the checkout. */
export async function packagedProgram(): Promise<string> {
  const architecture = hostArchitecture()
  if (architecture === undefined || !isPackaged('gateway', architecture)) {
    return join(ROOT, 'dist/scripts/obelisk.js')
  }
  const folder = join(FOLDER, stateOfSources())
  if (!existsSync(folder)) {
    // Only here: most processes have nothing to make.
    const { bundle } = await import('../../scripts/package/bundles.ts')
    const { nativePart } = await import('../../scripts/package/native-part.ts')
    const { writeTree } = await import('../../scripts/package/tree.ts')
    const bundles = await Promise.all(ROLES.map(bundle))
    const { bytes } = await nativePart(architecture)
    const own = `${folder}.${process.pid}`
    writeTree(
      own,
      bundles.flatMap(({ files }) => files),
    )
    writeFileSync(join(own, 'lmdb.node'), bytes)
    putInPlace(own, folder)
  }
  return join(folder, 'obelisk.mjs')
}

function stateOfSources(): string {
  const hash = createHash('sha256')
  const add = (path: string): void => {
    const { mtimeMs, size } = statSync(join(ROOT, path))
    hash.update(`${path} ${mtimeMs} ${size}\n`)
  }
  for (const source of SOURCES) {
    add(source)
    if (!statSync(join(ROOT, source)).isDirectory()) continue
    for (const path of readdirSync(join(ROOT, source), { recursive: true }))
      add(join(source, String(path)))
  }
  return hash.digest('hex').slice(0, 16)
}

/** Another process may have made the same meanwhile. */
function putInPlace(own: string, folder: string): void {
  try {
    renameSync(own, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
    rmSync(own, { recursive: true })
  }
}
