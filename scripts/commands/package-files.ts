/** Packages on their way to the gateway: files that are read as they go, or names of what it has already. */
import { createHash } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { PackageView } from '../../broker/adapters/package-store.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import { PACKAGE_BYTES_MAX } from '../../shared/protocol/fetch.ts'
import { isPackageName } from '../../shared/protocol/upgrade-messages.ts'
import { fault } from '../fault.ts'
import { inWords } from '../path-faults.ts'

/** 64 MiB over a slow link, and what the gateway looks at. */
const TRANSFER_MS = 3_600_000

/** What every .tar.gz begins with [RFC 1952 §2.3.1]. */
const GZIP_MAGIC = Buffer.of(0x1f, 0x8b)

/** Sends those that the gateway does not have; all of them are read before the first is sent. */
export async function namesOfPackages(
  gateway: GatewayClient,
  given: readonly string[],
  says: (text: string) => unknown,
): Promise<string[]> {
  const files = []
  for (const one of given) files.push(isPackageName(one) ? { sha256: one } : await readFile(one))
  const there = await gateway.json<PackageView[]>({ path: '/api/packages' })
  for (const file of files) {
    if (!('path' in file) || there.some(({ sha256 }) => sha256 === file.sha256)) continue
    const { path, bytes } = file
    says(`${path}: ${bytes} bytes on their way`)
    const { version, architecture } = await gateway.json<PackageView>({
      ...{ method: 'POST', path: '/api/packages', contentType: 'application/gzip' },
      body: Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>,
      headers: { 'content-length': String(bytes) },
      timeoutMs: TRANSFER_MS,
    })
    says(`${path}: version ${version} for ${architecture}, signed as it has to be`)
  }
  return files.map(({ sha256 }) => sha256)
}

async function readFile(
  path: string,
): Promise<{ readonly path: string; readonly bytes: number; readonly sha256: string }> {
  return await inWords(path, 'looked at', async () => {
    const status = statSync(path)
    if (!status.isFile())
      throw fault('no-package-file', `${path} is no file: name the .tar.gz that was made`)
    if (status.size > PACKAGE_BYTES_MAX) {
      const message = `${path} has ${status.size} bytes, and a package at most ${PACKAGE_BYTES_MAX}`
      throw fault('no-package-file', message)
    }
    const hash = createHash('sha256')
    let first: Buffer = Buffer.alloc(0)
    for await (const chunk of createReadStream(path)) {
      if (first.length === 0) first = chunk as Buffer
      hash.update(chunk as Buffer)
    }
    if (!GZIP_MAGIC.equals(first.subarray(0, GZIP_MAGIC.length)))
      throw fault(
        'no-package-file',
        `${path} is no package: name the .tar.gz that npm run package made`,
      )
    return { path, bytes: status.size, sha256: hash.digest('hex') }
  })
}
