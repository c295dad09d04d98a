/** Results that one recipient alone can read: his keys, his name at the gateway, and the opening of what he got. */
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { RecipientView } from '../../broker/adapters/http-port.ts'
import { own } from '../../shared/core/own.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { toJsonText } from '../../shared/protocol/json-text.ts'
import { isPlainObject } from '../../shared/protocol/problems.ts'
import {
  RECIPIENT_SEED_BYTES,
  type Sealed,
  SIGNER_KEY_BYTES,
} from '../../shared/protocol/sealed.ts'
import { AppError, EXIT_DONE, messageOf } from '../../shared/runtime/errors.ts'
import { flush } from '../../shared/runtime/flush.ts'
import { readPrivate } from '../../shared/runtime/private-folder.ts'
import { fault, usage } from '../fault.ts'
import { faultOf } from '../path-faults.ts'
import {
  type Asked,
  type AskedHere,
  at,
  type CommandGroup,
  demand,
  type Flags,
  remove,
  say,
  show,
} from './command-place.ts'
import { printable, type Streams, table, when } from './streams.ts'
import { assertName } from './task-request.ts'
import { inputOf } from './typed-input.ts'

type OpenFlags = Flags<'key' | 'signer', 'cbor'>

/** A thread may begin for it, and loads what it needs. */
const TIMEOUT_MS = 30_000
const RESULT_LIMITS = { bytesMax: 256 * 1024 * 1024, depthMax: 16, itemsMax: 50_000_000 }
const PARTS = ['head', 'kem', 'body', 'sig'] as const
/** Of a key on one line: no path looks like that. */
const KEY_TEXT = /^[A-Za-z0-9+/]{1024,}={0,2}$/

export function addSealCommands(obelisk: CommandGroup): void {
  const seal = obelisk.group(
    'seal',
    'results that one recipient alone can read (task submit --seal)',
  )
  seal
    .does('keygen <file>', keygen)
    .description('make a key: the secret goes to the file, the public key is printed')
    .option('--json', 'print JSON')
  seal
    .does('pub <file>', async (asked, file: string) => showPublic(asked, await seedOf(file)))
    .description('print the public key again, of what seal keygen wrote')
    .option('--json', 'print JSON')
  seal
    .does('open <result>', openResult)
    .description('open a result, JSON or CBOR, and print its value; - is the standard input')
    .option('--key <file>', 'what seal keygen wrote')
    .option('--signer <key>', 'what seal signer prints, or a file of it: only what it signed')
    .option('--cbor', 'print CBOR')
  seal
    .asks('signer', showSigner)
    .description('print the public key that tells what this gateway sealed')
  const recipient = seal.group('recipient', 'whom the gateway can seal to')
  recipient
    .asks('add <name> [public]', addRecipient)
    .description('name a public key, or a file of it; without one, the standard input')
  recipient.asks('ls', list).description('list them')
  recipient
    .asks('rm <name>', (asked, name: string) =>
      remove(asked, at`/api/seal/recipients/${name}`, `nothing more is sealed to ${name}`),
    )
    .description('seal nothing more to one')
}

async function showSigner(asked: Asked): Promise<number> {
  const question = { path: '/api/seal', timeoutMs: TIMEOUT_MS }
  const answer = await asked.gateway.json<{ signer: string }>(question)
  return say(asked, answer, answer.signer)
}

async function addRecipient(asked: Asked, name: string, given?: string): Promise<number> {
  assertName(name, 'a recipient')
  const key = await keyTextOf(given, asked.streams)
  // A secret does not leave this machine, whatever the gateway would say of it.
  if (!KEY_TEXT.test(key)) throw fault('bad-key', 'that is no public key as seal keygen prints it')
  const view = await demand<RecipientView>(
    asked.gateway,
    'POST',
    at`/api/seal/recipients/${name}`,
    { key },
  )
  return say(asked, view, `recipient ${name} has the key of SHA-256 ${view.sha256}`)
}

async function list(asked: Asked): Promise<number> {
  const { gateway, streams } = asked
  const recipients = await gateway.json<RecipientView[]>({ path: '/api/seal/recipients' })
  const text = table(streams, recipients, [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'ADDED', text: ({ addedTs }) => when(addedTs) },
    { title: 'BY', text: ({ by }) => by },
    { title: 'SHA-256', text: ({ sha256 }) => sha256 },
  ])
  return show(asked, recipients, text)
}

async function keygen(asked: AskedHere, file: string): Promise<number> {
  if (existsSync(file)) {
    // The shell has emptied the file that the public key was printed to: it is filled again.
    await showPublic(asked, await seedOf(file))
    const message = `${file} is there already, and may be the only key to something: what is printed is its public key, as by seal pub`
    throw fault('output-failed', message)
  }
  const seed = randomBytes(RECIPIENT_SEED_BYTES)
  writeSecret(file, `${seed.toString('base64')}\n`)
  asked.streams.stderr.write(
    `${printable(file)} is the secret: who has it can open what is sealed\n`,
  )
  return await showPublic(asked, seed)
}

async function showPublic(asked: AskedHere, seed: Uint8Array): Promise<number> {
  const { xWingPublicKey } = await import('../../shared/runtime/x-wing.ts')
  const key = Buffer.from(await xWingPublicKey(seed))
  const sha256 = createHash('sha256').update(key).digest('hex')
  const answer = { public: key.toString('base64'), sha256 }
  return say(asked, answer, answer.public)
}

/** On disk, and its owner's alone. What is there already may be the only key to something. */
function writeSecret(file: string, content: string): void {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'wx', 0o600)
    writeFileSync(descriptor, content)
    fsyncSync(descriptor)
    flush(resolve(file, '..'))
  } catch (error) {
    // Half a key is none, and would be in the way of the next.
    if (descriptor !== undefined) rmSync(file, { force: true })
    const told = faultOf(error, file, 'changed')
    if (told instanceof AppError) throw told
    throw fault('output-failed', `${file}: ${messageOf(error)}`, error)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

async function openResult(asked: AskedHere<OpenFlags>, file: string): Promise<number> {
  const { streams, flags } = asked
  if (flags.key === undefined) throw usage('--key: name the file that seal keygen wrote')
  const { open } = await import('../../shared/runtime/sealing.ts')
  const seed = await seedOf(flags.key)
  const signer = flags.signer === undefined ? undefined : await signerOf(flags.signer, streams)
  const { sealed, id, op } = sealedIn(await inputOf(file, streams))
  const { head, value } = await open(sealed, seed, signer)
  if (head.task !== id || head.op !== op) {
    throw broken(`what is sealed belongs to the result of task ${head.task}`)
  }
  const decoded = decodeCbor(value, RESULT_LIMITS)
  if (!decoded.ok) throw broken(`the value in it is none: ${decoded.message}`)
  if (signer === undefined) {
    const warning = 'warning: anybody can have sealed it: --signer checks that the gateway did'
    streams.stderr.write(`${warning}\n`)
  }
  streams.stderr.write(
    printable(`task ${head.task} (${head.op}), for ${head.to}, ${when(head.ts)}`).concat('\n'),
  )
  streams.stdout.write(flags.cbor ? value : `${toJsonText(decoded.value)}\n`)
  return EXIT_DONE
}

async function seedOf(path: string): Promise<Uint8Array> {
  let text: string | undefined
  try {
    text = readPrivate(path)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw fault('unreadable', messageOf(error), error)
  }
  if (text === undefined) throw fault('unreadable', `there is no file ${path}`)
  const seed = Buffer.from(text.trim(), 'base64')
  if (seed.length === RECIPIENT_SEED_BYTES) return seed
  throw fault('bad-key', `${path} is not what seal keygen wrote`)
}

async function signerOf(given: string, streams: Streams): Promise<Uint8Array> {
  const key = Buffer.from(await keyTextOf(given, streams), 'base64')
  if (key.length === SIGNER_KEY_BYTES) return key
  throw fault('bad-key', '--signer: that is not what seal signer prints')
}

/** A key as it stands, or of a file, or of the standard input. */
async function keyTextOf(given: string | undefined, streams: Streams): Promise<string> {
  if (given !== undefined && KEY_TEXT.test(given)) return given
  return (await inputOf(given ?? '-', streams)).toString('utf8').trim()
}

interface SealedResult {
  readonly sealed: Sealed
  readonly id: unknown
  readonly op: unknown
}

/** Of a result as HTTP gives it, or MQTT. */
function sealedIn(bytes: Buffer): SealedResult {
  const result = decode(bytes)
  const { sealed, id, op } = isPlainObject(result) ? result : {}
  if (!isPlainObject(sealed)) throw broken('it is no result with something sealed in it')
  const given: Readonly<Record<string, unknown>> = sealed
  const parts = PARTS.map((name) => bytesOf(own(given, name)))
  const isWhole = parts.every((part) => part !== undefined)
  if (!isWhole || Object.keys(given).length !== PARTS.length)
    throw broken('a part of it is missing')
  const [head, kem, body, sig] = parts as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  return { sealed: { head, kem, body, sig }, id, op }
}

function decode(bytes: Buffer): unknown {
  const text = bytes.subarray(0, 64).toString('latin1').trimStart()
  if (!text.startsWith('{')) {
    const decoded = decodeCbor(bytes, RESULT_LIMITS)
    return decoded.ok ? decoded.value : undefined
  }
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** In JSON they are base64, which has one form. */
function bytesOf(part: unknown): Uint8Array | undefined {
  if (part instanceof Uint8Array) return part
  if (typeof part !== 'string') return undefined
  const bytes = Buffer.from(part, 'base64')
  return bytes.toString('base64') === part ? bytes : undefined
}

function broken(why: string): AppError {
  return fault('seal-broken', `it cannot be opened: ${why}`)
}
