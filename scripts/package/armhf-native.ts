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
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { writeWhole } from '../whole-file.ts'
import { CHECKOUT } from './checkout.ts'
import { lockedOf } from './npm-package.ts'
import { PackagingError } from './packaging-error.ts'
import { inTemporary, runTool } from './tool.ts'

/** What was compiled, by what it was made of: `npm ci` takes all of node_modules away. */
const CACHE = join(homedir(), '.cache/obelisk-package')
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

/** The part, made now or by a run before with the same sources and tools. */
export function armv6Native(abi: keyof typeof TARGETS): Buffer {
  const target = TARGETS[abi]
  const key = createHash('sha256').update(JSON.stringify([target, FLAGS, CXX_FLAGS, START]))
  for (const name of ['lmdb', 'node-addon-api', 'node-api-headers'])
    key.update(lockedOf(name).integrity)
  for (const tool of [`${target.compiler}g++`, ARMEL_GCC]) key.update(runTool(tool, ['--version']))
  const cached = join(CACHE, `lmdb-stripped-${abi}-${key.digest('hex').slice(0, 16)}.node`)
  if (!existsSync(cached)) {
    mkdirSync(CACHE, { recursive: true })
    inTemporary((directory) => {
      const object = build(target, directory)
      checkArmv6(object, target)
      runTool(`${target.compiler}strip`, [object])
      writeWhole(cached, readFileSync(object), 0o644)
    })
  }
  return readFileSync(cached)
}

function build(target: Target, directory: string): string {
  // Included, but of use to V8's interface only; it is in no package of headers.
  writeFileSync(join(directory, 'node_version.h'), '')
  const start = join(directory, 'start.c')
  writeFileSync(start, START)
  const object = join(directory, 'lmdb.node')
  const includes = [directory, ...INCLUDES].map((path) => `-I${path}`)
  runTool(`${target.compiler}gcc`, [
    ...[...target.flags, ...FLAGS, ...CXX_FLAGS, ...includes, start, ...sources()],
    // Debian's libraries say that they are of ARMv7, where those of a Pi Zero are not.
    ...['-shared', '-nostdlib', '-Wl,--no-warn-mismatch', '-Wl,--build-id=none', '-o', object],
    ...['-lstdc++', '-lm', '-lpthread', '-lc', '-lgcc_s'],
    `${runTool(ARMEL_GCC, ['-print-libgcc-file-name'])}`.trim(),
  ])
  return object
}

/** Of the first list in lmdb's binding.gyp, and its LMDB of the current format. */
function sources(): string[] {
  const gyp = readFileSync(join(CHECKOUT, LMDB, 'binding.gyp'), 'utf8')
  const list = /"sources": \[([^\]]*)\]/.exec(gyp)?.[1] ?? ''
  const named = [...list.matchAll(/"([^"]+\.(?:c|cpp))"/g)].map(([, path]) => `${LMDB}/${path}`)
  if (named.length === 0) throw new PackagingError(`${LMDB}/binding.gyp names no sources`)
  return [...named, `${LIBLMDB}/mdb.c`, `${LIBLMDB}/midl.c`]
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
function checkArmv6(object: string, target: Target): void {
  const { compiler } = target
  const attributes = `${runTool(`${compiler}readelf`, ['-A', object])}`
  const expected = target === TARGETS.armhf ? [...ATTRIBUTES, HARD_FLOAT] : ATTRIBUTES
  const missing = expected.filter((attribute) => !attribute.test(attributes))
  if (missing.length > 0) {
    throw new PackagingError(`not for ARMv6: no ${missing.join()} in\n${attributes}`)
  }
  const symbols = `${runTool(`${compiler}readelf`, ['-sW', object])}`
  // Mapping symbols (ELF for the Arm Architecture, 5.5.5): code in Thumb state.
  if (/\s\$t(\.\d+)?$/m.test(symbols)) throw new PackagingError('not for ARMv6: it has Thumb code')
  const newer = newerInstruction(`${runTool(`${compiler}objdump`, ['-d', object])}`)
  if (newer !== undefined) throw new PackagingError(`not for ARMv6: ${newer}`)
}
