import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fault, unreadable } from '../fault.ts'
import { isNewEnough, NODE_RANGE } from '../install/places.ts'
import type { SystemPrograms } from '../install/system-programs.ts'
import type { Architecture } from '../package/architectures.ts'
import { architectureOfProgram } from './board-architecture.ts'

/** `npm run package` writes there. */
const PACKAGES_DIRECTORY = 'packages'

export interface AgentPackage {
  readonly path: string
  readonly version: string
  readonly architecture: string
  readonly bytes: number
}

/** The package that was named, or the one in `packages/` for that architecture. */
export async function findAgentPackage(
  named: string | undefined,
  architecture: Architecture | undefined,
  programs: SystemPrograms,
): Promise<AgentPackage> {
  const found = named ?? (await newestPackage(architecture))
  if (found === undefined) {
    throw fault(
      'bad-package',
      architecture === undefined
        ? 'the image does not tell its architecture: name the package with --package'
        : `there is no package for ${architecture} in ${PACKAGES_DIRECTORY}/: npm run package makes it, --package names one`,
    )
  }
  return await readAgentPackage(found, programs)
}

async function newestPackage(architecture: Architecture | undefined) {
  if (architecture === undefined) return undefined
  const names = await readdir(PACKAGES_DIRECTORY).catch(() => [])
  const fit = names.filter((name) => name.startsWith('obelisk-agent-'))
  const paths = fit
    .filter((name) => name.endsWith(`-${architecture}.tar.gz`))
    .map((name) => join(PACKAGES_DIRECTORY, name))
  const times = await Promise.all(paths.map(async (path) => (await stat(path)).mtimeMs))
  return paths[times.indexOf(Math.max(...times))]
}

async function readAgentPackage(path: string, programs: SystemPrograms): Promise<AgentPackage> {
  const { size: bytes } = await stat(path).catch((error) => {
    throw unreadable('--package', error)
  })
  const words = [
    '--extract',
    '--to-stdout',
    '--file',
    resolve(path),
    '--wildcards',
    '*/package.json',
  ]
  const { code, stdout, stderr } = await programs.run('tar', words)
  if (code !== 0) {
    throw fault('bad-package', `${path} is not a package of ours: ${stderr.split('\n')[0]}`)
  }
  try {
    const { version, obelisk } = JSON.parse(stdout)
    const { role, architecture } = obelisk
    if (role !== 'agent') throw fault('bad-package', `${path} is of the ${role}, not of the agent`)
    return { path, version: String(version), architecture: String(architecture), bytes }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) {
      throw fault('bad-package', `${path} is not a package of ours: its package.json is another`)
    }
    throw error
  }
}

export interface NodeArchive {
  readonly path: string
  readonly architecture: Architecture
  /** `node.tar.xz`: what the first boot looks for. */
  readonly name: string
  readonly bytes: number
}

/** An archive as nodejs.org has them, by what its `bin/node` is. */
export async function readNodeArchive(
  path: string,
  programs: SystemPrograms,
): Promise<NodeArchive> {
  const { size: bytes } = await stat(path).catch((error) => {
    throw unreadable('--node', error)
  })
  const suffix = /\.tar\.(?:gz|xz)$/.exec(path)?.[0]
  if (suffix === undefined)
    throw fault('bad-package', `--node: ${path} is not a .tar.xz or .tar.gz`)
  const version = /node-v(\d+\.\d+\.\d+)/.exec(path)?.[1]
  if (version !== undefined && !isNewEnough(version, NODE_RANGE)) {
    throw fault('bad-package', `--node: ${path} is Node ${version}; Obelisk needs ${NODE_RANGE}`)
  }
  const head = await headOf(path, '*/bin/node', programs)
  const architecture = architectureOfProgram(head)
  if (architecture === undefined) {
    throw fault('bad-package', `--node: ${path} has no bin/node for a board in it`)
  }
  return { path, architecture, name: `node${suffix}`, bytes }
}

/** The first bytes of a file in an archive; the rest is not unpacked. */
async function headOf(path: string, member: string, programs: SystemPrograms): Promise<Buffer> {
  const words = ['--extract', '--to-stdout', '--file', resolve(path), '--wildcards', member]
  const { output, ended, stop } = programs.pipe('tar', words)
  let head = Buffer.alloc(0)
  for await (const chunk of output as AsyncIterable<Buffer>) {
    head = Buffer.concat([head, chunk])
    if (head.length >= 64) break
  }
  stop()
  await ended
  return head
}
