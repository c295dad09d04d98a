/**
 * Node and the libraries that it needs, of Debian for each ARM, for the user emulation of QEMU. Unpacked
 * only: nothing of it runs here, and nobody has to be root.
 */
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type ArmArchitecture, cacheDirectory, MIRROR, run, SUITE } from './debian-tree.ts'

const SECURITY_MIRROR = 'http://deb.debian.org/debian-security'
/** Where the packages stand, the best first; the last has what the first may lack for old boards. */
const SOURCES = [
  { mirror: SECURITY_MIRROR, suite: `${SUITE}-security` },
  { mirror: MIRROR, suite: SUITE },
  { mirror: MIRROR, suite: 'bookworm' },
]
const PACKAGES = [
  ...['nodejs', 'libnode115', 'node-undici', 'node-acorn', 'node-cjs-module-lexer'],
  ...['node-minimatch', 'libc6', 'libgcc-s1', 'libstdc++6', 'libuv1t64', 'libicu76', 'zlib1g'],
  ...['libssl3t64', 'libcares2', 'libnghttp2-14', 'libbrotli1', 'libzstd1', 'libatomic1'],
]
/** Of the C library of the suite, for all architectures: mirrors may be behind with one of them. */
const CROSS_LIBRARY: Readonly<Record<string, { name: string; lib: string }>> = {
  armel: { name: 'libc6-armel-cross', lib: 'usr/arm-linux-gnueabi/lib' },
}

/** The folder with that tree; made once. */
export async function armTree(architecture: ArmArchitecture): Promise<string> {
  const path = join(cacheDirectory(), `node-${SUITE}-${architecture}`)
  if (existsSync(path)) return path
  const making = `${path}.making`
  rmSync(making, { recursive: true, force: true })
  mkdirSync(join(making, 'usr/lib'), { recursive: true })
  symlinkSync('usr/lib', join(making, 'lib'))
  const indexes = await Promise.all(SOURCES.map((source) => index(source, architecture)))
  for (const name of PACKAGES) {
    const cross = name === 'libc6' ? CROSS_LIBRARY[architecture] : undefined
    const urls = indexes.slice(0, cross === undefined ? undefined : 2).flatMap((of) => of(name))
    const file = await fetchFirst(urls, making)
    if (file !== undefined) unpack(file, making, ['usr', 'lib'])
    else if (cross === undefined) throw new Error(`no mirror has ${name} for ${architecture}`)
    else {
      const one = await fetchFirst(
        indexes.flatMap((of) => of(cross.name)),
        making,
      )
      if (one === undefined) throw new Error(`no mirror has ${cross.name}`)
      unpack(one, making, [cross.lib])
    }
  }
  renameSync(making, path)
  return path
}

type Index = (name: string) => string[]

/** Looks packages up in a suite: their addresses. */
async function index(
  { mirror, suite }: (typeof SOURCES)[number],
  architecture: ArmArchitecture,
): Promise<Index> {
  const url = `${mirror}/dists/${suite}/main/binary-${architecture}/Packages.xz`
  const packed = await download(url)
  if (packed === undefined) return () => []
  const text = run('xz', ['-dc'], packed).toString('latin1')
  return (name) => {
    const at = text.indexOf(`Package: ${name}\n`)
    const found = /^Filename: (.*)$/m.exec(text.slice(at))?.[1]
    return at < 0 || found === undefined ? [] : [`${mirror}/${found}`]
  }
}

async function fetchFirst(urls: readonly string[], directory: string): Promise<string | undefined> {
  for (const url of urls) {
    const bytes = await download(url)
    if (bytes === undefined) continue
    const file = join(directory, basename(url))
    writeFileSync(file, bytes)
    return file
  }
  return undefined
}

async function download(url: string): Promise<Buffer | undefined> {
  const response = await fetch(url, { signal: AbortSignal.timeout(900_000) })
  return response.ok ? Buffer.from(await response.arrayBuffer()) : undefined
}

/** Puts these folders of a package where they belong: older ones still have both /lib and /usr/lib. */
function unpack(file: string, tree: string, folders: readonly string[]): void {
  const unpacked = `${file}.unpacked`
  run('dpkg-deb', ['-x', file, unpacked])
  for (const folder of folders) {
    const from = join(unpacked, folder)
    const to = folder === 'usr' ? 'usr' : 'usr/lib'
    if (existsSync(from)) run('cp', ['-a', `${from}/.`, join(tree, to)])
  }
  rmSync(unpacked, { recursive: true })
  rmSync(file)
}
