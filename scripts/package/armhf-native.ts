/**
 * lmdb's native part for 32-bit ARM, compiled from the sources in its npm package. Debian calls both
 * ARMv6 with VFPv2 (Pi Zero, Pi 1) and ARMv7 `armhf`, so the one package must run on the former; the
 * prebuilt part of npm is for the latter and dies there of an illegal instruction.
 *
 * Debian's cross compiler makes ARMv6 when told to, but its start files and libgcc.a are of ARMv7. So
 * nothing of these is linked: a shared object does without start files but for one symbol, and the
 * little that libgcc.a is needed for comes from the one of armel, which is of ARMv5. Its functions take
 * and return plain registers in either ABI (Run-time ABI for the Arm Architecture, 4.1).
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { fault } from '../fault.ts'
import { CHECKOUT } from './checkout.ts'
import { CACHE, lockedOf } from './npm-package.ts'
import { PackagingError } from './packaging-error.ts'

const LMDB = 'node_modules/lmdb'
const LIBLMDB = `${LMDB}/dependencies/lmdb/libraries/liblmdb`
const LZ4 = `${LMDB}/dependencies/lz4/lib`
const INCLUDES = [
  LIBLMDB,
  LZ4,
  'node_modules/node-addon-api',
  'node_modules/node-api-headers/include',
]

interface Target {
  readonly compiler: string
  readonly flags: readonly string[]
}

const ARMV6 = ['-march=armv6k+fp', '-marm', '-mfpu=vfp']
const TARGETS = {
  armhf: { compiler: 'arm-linux-gnueabihf-', flags: [...ARMV6, '-mfloat-abi=hard'] },
  /** Not packaged: Debian's Node for ARMv6, which tests run, passes floats in plain registers. */
  armel: { compiler: 'arm-linux-gnueabi-', flags: [...ARMV6, '-mfloat-abi=softfp'] },
} as const satisfies Record<string, Target>
/** As lmdb's binding.gyp has them, without V8's own interface: N-API only. */
const DEFINES = [
  ...['NODE_GYP_MODULE_NAME=lmdb', 'BUILDING_NODE_EXTENSION', 'MDB_MAXKEYSIZE=0', 'MDB_USE_ROBUST'],
  ...['NAPI_DISABLE_CPP_EXCEPTIONS', '_FILE_OFFSET_BITS=64', '_LARGEFILE_SOURCE', 'NDEBUG'],
].map((name) => `-D${name}`)
const FLAGS = ['-O3', '-fPIC', '-fvisibility=hidden', '-pthread', '-w', ...DEFINES]
const CXX_FLAGS = ['-std=gnu++17', '-fno-rtti', '-fno-exceptions', '-fvisibility-inlines-hidden']

/** The one thing of the start files that a shared object in C++ asks for. */
const START = 'void *__dso_handle __attribute__((visibility("hidden"))) = &__dso_handle;\n'

const ARMEL_GCC = `${TARGETS.armel.compiler}gcc`
/** The Debian package that a tool is in. */
function packageOf(tool: string): string {
  const [, triplet, name] = /^(arm-linux-gnueabi(?:hf)?)-(.*)$/.exec(tool)!
  return name === 'readelf' || name === 'objdump' ? `binutils-${triplet}` : `g++-${triplet}`
}

/** The part, made now or by a run before with the same sources and tools; it still has its symbols. */
export async function armv6Native(abi: keyof typeof TARGETS): Promise<Buffer> {
  const target = TARGETS[abi]
  const key = createHash('sha256').update(JSON.stringify([target, FLAGS, CXX_FLAGS, START]))
  for (const name of ['lmdb', 'node-addon-api', 'node-api-headers'])
    key.update(lockedOf(name).integrity)
  for (const tool of [`${target.compiler}g++`, ARMEL_GCC])
    key.update(await run(tool, ['--version']))
  const cached = join(CACHE, `lmdb-${abi}-${key.digest('hex').slice(0, 16)}.node`)
  if (!existsSync(cached)) {
    const bytes = await build(target)
    mkdirSync(dirname(cached), { recursive: true })
    const temporary = `${cached}.${process.pid}`
    writeFileSync(temporary, bytes)
    renameSync(temporary, cached)
  }
  return readFileSync(cached)
}

/** Compiles, links and checks it. */
async function build(target: Target): Promise<Buffer> {
  const directory = mkdtempSync(join(tmpdir(), 'obelisk-armhf-'))
  try {
    const object = join(directory, 'lmdb.node')
    await link(target, object, await compile(target, directory))
    await checkArmv6(object, target)
    return readFileSync(object)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function compile(target: Target, directory: string): Promise<string[]> {
  const headers = join(directory, 'include')
  mkdirSync(headers)
  // Included, but of use to V8's interface only; it is in no package of headers.
  writeFileSync(join(headers, 'node_version.h'), '')
  const start = join(directory, 'start.c')
  writeFileSync(start, START)
  const includes = [headers, ...INCLUDES].map((path) => `-I${path}`)
  const jobs = [start, ...sources()].map((source) => {
    const isCxx = source.endsWith('.cpp')
    const object = join(directory, `${basename(source)}.o`)
    const flags = isCxx ? [...FLAGS, ...CXX_FLAGS] : FLAGS
    const tool = `${target.compiler}${isCxx ? 'g++' : 'gcc'}`
    return {
      tool,
      object,
      argv: [...target.flags, ...flags, ...includes, '-c', source, '-o', object],
    }
  })
  const queue = [...jobs]
  const work = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      await run(job.tool, job.argv)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return jobs.map(({ object }) => object)
}

/** Of the first list in lmdb's binding.gyp, and its LMDB of the current format. */
function sources(): string[] {
  const gyp = readFileSync(join(CHECKOUT, LMDB, 'binding.gyp'), 'utf8')
  const list = /"sources": \[([^\]]*)\]/.exec(gyp)?.[1] ?? ''
  const named = [...list.matchAll(/"([^"]+\.(?:c|cpp))"/g)].map(([, path]) => `${LMDB}/${path}`)
  if (named.length === 0) throw new PackagingError(`${LMDB}/binding.gyp names no sources`)
  return [...named, `${LIBLMDB}/mdb.c`, `${LIBLMDB}/midl.c`]
}

async function link(target: Target, object: string, objects: readonly string[]): Promise<void> {
  const libgcc = (await run(ARMEL_GCC, ['-print-libgcc-file-name'])).trim()
  await run(`${target.compiler}g++`, [
    ...['-shared', '-pthread', '-nostdlib', ...target.flags],
    // Debian's libraries say that they are of ARMv7, where those of a Pi Zero are not.
    ...['-Wl,--no-warn-mismatch', '-Wl,--build-id=none', '-o', object, ...objects],
    ...['-lstdc++', '-lm', '-lpthread', '-lc', '-lgcc_s', libgcc],
  ])
}

const ATTRIBUTES: readonly RegExp[] = [/Tag_CPU_arch: v6K\b/, /Tag_FP_arch: VFPv2\b/]
const HARD_FLOAT = /Tag_ABI_VFP_args: VFP registers/
/** Instructions of ARM state that came with ARMv6T2 and ARMv7. */
const NEWER = /\t(movw|movt|bf[ci]|[us]bfx|mls|rbit|[us]div|dmb|dsb|isb|ldrs?[hb]t|strht)\S*\t/
/** VFPv3 has 32 registers, constants and fixed point, and NEON has registers of its own. */
const NEWER_FP = /\t(v\S+\t.*\b(d(1[6-9]|2\d|3[01])|q\d+)\b|vmov\S*\t[sd]\d+, #|vcvt\S*\t.*, #)/

/** The first line of objdump's listing that an ARM11 with VFPv2 cannot run. */
export function newerInstruction(listing: string): string | undefined {
  return listing.split('\n').find((line) => NEWER.test(line) || NEWER_FP.test(line))
}

/** Not what the compiler was told, but what came out. */
async function checkArmv6(object: string, target: Target = TARGETS.armhf): Promise<void> {
  const { compiler } = target
  const attributes = await run(`${compiler}readelf`, ['-A', object])
  const expected = target === TARGETS.armhf ? [...ATTRIBUTES, HARD_FLOAT] : ATTRIBUTES
  const missing = expected.filter((attribute) => !attribute.test(attributes))
  if (missing.length > 0) {
    throw new PackagingError(`not for ARMv6: no ${missing.join()} in\n${attributes}`)
  }
  const symbols = await run(`${compiler}readelf`, ['-sW', object])
  // Mapping symbols (ELF for the Arm Architecture, 5.5.5): code in Thumb state.
  if (/\s\$t(\.\d+)?$/m.test(symbols)) throw new PackagingError('not for ARMv6: it has Thumb code')
  const newer = newerInstruction(await run(`${compiler}objdump`, ['-d', object]))
  if (newer !== undefined) throw new PackagingError(`not for ARMv6: ${newer}`)
}

/** Runs a tool in the checkout and gives what it prints: of objdump, a line an instruction. */
async function run(tool: string, argv: readonly string[]): Promise<string> {
  try {
    const options = { cwd: CHECKOUT, maxBuffer: Number.POSITIVE_INFINITY }
    return (await promisify(execFile)(tool, argv, options)).stdout
  } catch (error) {
    const { code, stderr = '' } = error as { code?: unknown; stderr?: string }
    if (code !== 'ENOENT') throw new PackagingError(`${tool} ${argv.at(-1)}: ${stderr.trim()}`)
    const message = `the program ${tool} is not installed: sudo apt install ${packageOf(tool)}`
    throw fault('program-missing', message)
  }
}
