/**
 * Unpacks an archive of somebody who is not trusted, by tar(1): plain files and directories below one name, which is left
 * out. It is listed first, and what a package does not have is refused: links, devices, `..`, rights beyond those of files,
 * too much of anything. Neither the archive nor a file of it is in memory as a whole.
 */
import { createReadStream, mkdirSync } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { fault } from '../fault.ts'
import { SystemPrograms } from '../install/system-programs.ts'

/** Many times what a package has. */
const BYTES_MAX = 64 * 1024 * 1024
const ENTRIES_MAX = 1000
/** A line of the list, with a name of its own length. */
const LIST_BYTES_MAX = ENTRIES_MAX * 200
/** Of tar's list: `-rw-r--r-- 0/0 12 1970-01-01 00:00 top/file`. */
const PLAIN = /^([-d])[-rwx]{9} +\d+\/\d+ +(\d+) \S+ \S+ (.*)$/
const LIST = ['--list', '--verbose', '--numeric-owner']
const EXTRACT = ['--extract', '--strip-components=1', '--no-same-owner', '--preserve-permissions']

/**
 * Makes `directory` of the file `archive`, which is compressed by gzip. Throws an Error that says what is wrong with it; what
 * was unpacked before stays.
 */
export async function unpackPackage(archive: string, directory: string): Promise<void> {
  checkList(await tar(archive, LIST))
  mkdirSync(directory, { mode: 0o700 })
  // A name that comes twice is refused.
  await tar(archive, [...EXTRACT, '--keep-old-files', '--directory', directory])
}

function checkList(list: string): void {
  const lines = list.split('\n').slice(0, -1)
  if (lines.length > ENTRIES_MAX) throw new Error(`it has more than ${ENTRIES_MAX} entries`)
  let top: string | undefined
  let total = 0
  for (const line of lines) {
    const [, kind, bytes, name = ''] = PLAIN.exec(line) ?? []
    if (kind === undefined) throw new Error(`${line} is not a plain file or directory`)
    const parts = name.replace(/\/$/, '').split('/')
    const isBelow = parts.every((part) => part !== '' && part !== '.' && part !== '..')
    if (!isBelow || (kind === '-' && parts.length === 1))
      throw new Error(`${JSON.stringify(name)} is no name of a file of ours`)
    top ??= parts[0]
    if (parts[0] !== top) throw new Error(`it has more than ${top} in it`)
    // Of a file with holes more than there is in the archive.
    if ((total += Number(bytes)) > BYTES_MAX) throw new Error(`it has more than ${BYTES_MAX} bytes`)
  }
}

/** What it prints. */
async function tar(archive: string, words: readonly string[]): Promise<string> {
  // What is wrong with it is told to who reads it.
  const unzipped = pipeline(createReadStream(archive), createGunzip(), () => {})
  const input = Readable.from(bounded(unzipped))
  const { output, ended } = new SystemPrograms({}).pipe('tar', [...words, '--file=-'], { input })
  let list = ''
  for await (const text of output.setEncoding('utf8')) {
    if ((list += text).length > LIST_BYTES_MAX)
      throw new Error(`it has more than ${ENTRIES_MAX} entries`)
  }
  const { code, stderr } = await ended
  if (code === 0) return list
  // A write that takes a part is told as such.
  if (/no space left|quota exceeded|wrote only/i.test(stderr)) {
    throw fault('no-room', 'there is no room for what is in it')
  }
  throw new Error(stderr.split('\n')[0])
}

/** What comes, as far as a package may be large. */
export async function* bounded(archive: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let bytes = 0
  for await (const chunk of archive) {
    if ((bytes += chunk.length) > BYTES_MAX) throw new Error(`it has more than ${BYTES_MAX} bytes`)
    yield chunk
  }
}
