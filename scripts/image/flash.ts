/** Makes a card, or the image of one, that boots into a node of the fleet. */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { type FileHandle, lstat, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { AppError } from '../../shared/runtime/errors.ts'
import { flush } from '../../shared/runtime/flush.ts'
import type { Output } from '../commands/streams.ts'
import { fault, unreadable } from '../fault.ts'
import type { SystemPrograms } from '../install/system-programs.ts'
import { faultOf } from '../path-faults.ts'
import { architectureOfImage } from './board-architecture.ts'
import { connectionFile, firstBootSettings, supplicantFile } from './board-files.ts'
import { type BoardWishes, installArguments } from './board-wishes.ts'
import { type BootPartition, type OpenImage, openBootPartition } from './boot-partition.ts'
import { cardProblem, needOf, readCard, roomOf, type SystemPaths } from './card.ts'
import { editCommandLine } from './command-line.ts'
import { partialOf } from './output-file.ts'
import { findAgentPackage, type NodeArchive, readNodeArchive } from './payload.ts'
import { Progress } from './progress.ts'
import { unpackImage } from './source-image.ts'
import { writeCard } from './write-card.ts'

/** A card, or a file that an imager writes. */
export type FlashTarget =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'device'; readonly path: string }

export interface FlashWishes {
  readonly board: BoardWishes
  readonly image: string
  readonly sha256: string | undefined
  readonly package: string | undefined
  readonly node: string | undefined
  readonly target: FlashTarget
  /** Asks before a card or a file is overwritten; true means yes. */
  readonly confirm: (question: string, answer: string) => Promise<boolean>
}

export interface FlashTools {
  readonly programs: SystemPrograms
  readonly output: Output
  readonly system: SystemPaths
  readonly signal: AbortSignal
}

/** Everything of ours on the boot partition, but for the command line and the first boot's log. */
const FOLDER = 'obelisk'

export async function flash(wishes: FlashWishes, tools: FlashTools): Promise<void> {
  const { target, image } = wishes
  if (!existsSync(image)) throw unreadable('--image', new Error(`${image} is not there`))
  if (target.kind === 'device') refuseUnfit(target.path, 0, tools)
  const isAsked = target.kind === 'file' && (await askToReplace(target.path, wishes))
  const work = target.kind === 'file' ? undefined : await mkdtemp(join(tmpdir(), 'obelisk-card-'))
  const path = work === undefined ? partialOf(target.path) : join(work, 'card.img')
  let handle: FileHandle
  try {
    // Of nobody else, and no link that somebody else put there: there may be passwords in it.
    await rm(path, { force: true })
    handle = await open(path, 'wx', 0o600)
  } catch (error) {
    const isFile = target.kind === 'file'
    const fault = faultOf(error, isFile ? target.path : path, 'changed')
    throw fault instanceof AppError ? fault : unreadable(isFile ? '--output' : path, error)
  }
  try {
    const progress = new Progress('unpacking', tools.output)
    const source = { path: image, sha256: wishes.sha256 }
    await unpackImage(source, { path, handle }, tools.programs, progress, tools.signal)
    await prepare({ path, handle }, wishes, tools)
    await handle.sync()
    const { size } = await handle.stat()
    if (target.kind === 'device') await burn({ path, size }, target.path, wishes, tools)
    else {
      // It may have come while we worked.
      if (!isAsked) await askToReplace(target.path, wishes)
      if (!(await isOurs(path, handle)))
        throw fault('not-permitted', `somebody else makes ${path}, too`)
      await rename(path, target.path)
      flush(dirname(target.path))
    }
  } finally {
    const mayGo = work !== undefined || (await isOurs(path, handle))
    await handle.close()
    if (mayGo) await rm(work ?? path, { recursive: true, force: true })
  }
}

/** Whether the file there is the one that we have open. */
async function isOurs(path: string, handle: FileHandle): Promise<boolean> {
  const [ours, found] = await Promise.all([handle.stat(), lstat(path).catch(() => undefined)])
  return found?.dev === ours.dev && found.ino === ours.ino
}

/** Says whether it had to ask. Throws AppError for a file that has to stay. */
async function askToReplace(path: string, { confirm }: FlashWishes): Promise<boolean> {
  if (!existsSync(path)) return false
  if (await confirm(`${path} is there already; type yes to overwrite it: `, 'yes')) return true
  throw fault('not-permitted', 'nothing was written')
}

async function prepare(image: OpenImage, wishes: FlashWishes, tools: FlashTools): Promise<void> {
  const { programs, output } = tools
  const boot = await openBootPartition(image, wishes.image, programs)
  const ofImage = architectureOfImage(await boot.names())
  const agent = await findAgentPackage(wishes.package, ofImage, programs)
  if (ofImage === undefined) {
    output.write(
      `warning: the image does not tell its architecture; the package is for ${agent.architecture}\n`,
    )
  } else if (agent.architecture !== ofImage) {
    const message = `the image is for ${ofImage}, and ${agent.path} for ${agent.architecture}`
    throw fault('bad-package', message)
  }
  let node: NodeArchive | undefined
  if (wishes.node !== undefined) {
    node = await readNodeArchive(wishes.node, programs)
    if (node.architecture !== agent.architecture) {
      const message = `the agent is for ${agent.architecture}, and ${node.path} for ${node.architecture}`
      throw fault('bad-package', message)
    }
  } else {
    output.write('warning: without --node the image itself must have Node 20.19 or newer\n')
  }
  await putPayload(boot, wishes.board, [
    { path: agent.path, name: 'agent.tar.gz', bytes: agent.bytes },
    ...(node === undefined ? [] : [node]),
  ])
  output.write(`the agent ${agent.version} for ${agent.architecture} is on the boot partition\n`)
}

interface PayloadFile {
  readonly path: string
  readonly name: string
  readonly bytes: number
}

async function putPayload(
  boot: BootPartition,
  board: BoardWishes,
  files: readonly PayloadFile[],
): Promise<void> {
  const commandLine = await boot.read('cmdline.txt')
  if (commandLine.trim() === '') throw fault('bad-image', 'cmdline.txt of the image is empty')
  await boot.makeFolder(FOLDER)
  const needed = files.reduce((sum, { bytes }) => sum + bytes, 256 * 1024)
  const free = await boot.freeBytes()
  if (free < needed) {
    const message = `the boot partition has ${roomOf(free)} free, and ${needOf(needed)} are needed`
    throw fault('no-room', message)
  }
  for (const { path, name } of files) await boot.copyIn(path, `${FOLDER}/${name}`)
  for (const [name, text] of Object.entries(boardFiles(board))) {
    await boot.write(`${FOLDER}/${name}`, text)
  }
  // Last: only with these words does the board do anything of the kind.
  const country = board.wifi?.country
  const wanted = editCommandLine(commandLine, { isFirstBoot: true, country })
  await boot.write('cmdline.txt', wanted)
  if ((await boot.read('cmdline.txt')) !== wanted) {
    throw fault('bad-image', 'cmdline.txt does not hold what was written')
  }
}

function boardFiles(board: BoardWishes): Record<string, string> {
  const { hostname, wifi, token, sshKeys } = board
  return {
    'first-boot.sh': firstBootScript(),
    'settings.sh': firstBootSettings({ hostname, installArguments: installArguments(board) }),
    ...(token === undefined ? {} : { 'enroll-token': token }),
    ...(sshKeys === undefined ? {} : { authorized_keys: sshKeys }),
    ...(wifi === undefined
      ? {}
      : {
          'wifi.nmconnection': connectionFile(wifi, randomUUID()),
          'wifi.conf': supplicantFile(wifi),
        }),
  }
}

/** Beside this file, beside the bundle that this is in, or in the sources that this was built from. */
function firstBootScript(): string {
  for (const place of ['./first-boot.sh', '../../../scripts/image/first-boot.sh']) {
    const url = new URL(place, import.meta.url)
    if (existsSync(url)) return readFileSync(url, 'utf8')
  }
  throw fault('bad-package', 'first-boot.sh is missing beside the program')
}

function refuseUnfit(device: string, bytes: number, { system }: FlashTools) {
  const card = readCard(device, system)
  const problem = cardProblem(card, bytes)
  if (problem !== undefined) throw fault('not-permitted', `--device: ${problem}`)
  return card
}

async function burn(
  { path, size }: { readonly path: string; readonly size: number },
  device: string,
  { confirm }: FlashWishes,
  tools: FlashTools,
): Promise<void> {
  const card = refuseUnfit(device, size, tools)
  const about = [card.name, card.model, roomOf(card.bytes)].filter((part) => part !== '')
  const question = `everything on ${about.join(', ')} is lost; type ${card.name} to go on: `
  if (!(await confirm(question, card.name))) throw fault('not-permitted', 'nothing was written')
  // Somebody may have mounted it while we asked.
  refuseUnfit(device, size, tools)
  const writing = new Progress('writing', tools.output)
  const reading = new Progress('reading back', tools.output)
  const write = { image: path, device, bytes: size }
  await writeCard(write, tools.programs, { writing, reading }, tools.signal)
}
