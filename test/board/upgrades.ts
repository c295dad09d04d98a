/** Packages of later versions, made as `npm run package` makes them; one of them holds an agent that dies. */
import { writeFileSync } from 'node:fs'
import { packTarball } from '../../scripts/package/archive.ts'
import { bundle } from '../../scripts/package/bundles.ts'
import { CHECKOUT } from '../../scripts/package/checkout.ts'
import { writeDeb } from '../../scripts/package/deb.ts'
import { nativePart } from '../../scripts/package/native-part.ts'
import { developmentKey } from '../../scripts/package/release-key.ts'
import { assembleTree } from '../../scripts/package/tree.ts'
import { VERSION } from '../../shared/runtime/version.ts'

const SECONDS = 1_700_000_000
const DYING_AGENT = "process.stderr.write('this version does not start\\n')\nprocess.exit(1)\n"

export interface Upgrade {
  readonly version: string
  readonly isDying?: boolean
}

/** Writes the package of an agent for amd64: for dpkg, or as a gateway sends it. */
export async function writeUpgrade(path: string, { version, isDying }: Upgrade): Promise<void> {
  const made = await bundle('agent')
  const files = made.files.map((file) => {
    if (!file.path.endsWith('.mjs')) return file
    if (isDying && file.path === 'agent.mjs') return { ...file, bytes: Buffer.from(DYING_AGENT) }
    // What it says of itself to its gateway.
    const text = Buffer.from(file.bytes).toString()
    const said = text.replaceAll(JSON.stringify(VERSION), JSON.stringify(version))
    return { ...file, bytes: Buffer.from(said) }
  })
  const native = nativePart('amd64')
  const parts = { role: 'agent', architecture: 'amd64', version, native } as const
  const tree = assembleTree({
    ...parts,
    bundles: { ...made, files },
    key: developmentKey(CHECKOUT),
  })
  const bytes = path.endsWith('.deb')
    ? writeDeb({ ...parts, tree, seconds: SECONDS })
    : packTarball(tree, 'obelisk-agent', SECONDS)
  writeFileSync(path, bytes)
}
