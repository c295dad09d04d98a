/** Libraries that are preloaded into processes of a test, built by the C compiler that is there. */
import { spawnSync } from 'node:child_process'

const COMPILERS = ['cc', 'gcc', 'clang']

/** Builds `source` as the library `made`; says why not where that is not possible here. */
export function buildShim(source: string, made: string): string | undefined {
  if (process.platform !== 'linux') return 'LD_PRELOAD is of Linux'
  if (/^(arm|ia32|mips|ppc)/.test(process.arch) && process.arch !== 'arm64') {
    return 'the preloaded library is for 64-bit systems'
  }
  for (const compiler of COMPILERS) {
    const argv = ['-shared', '-fPIC', '-O1', '-o', made, source, '-ldl', '-lpthread']
    const { status, error, stderr } = spawnSync(compiler, argv, { encoding: 'utf8' })
    if (error !== undefined) continue
    if (status !== 0) throw new Error(`${compiler}: ${stderr}`)
    return undefined
  }
  return `there is no C compiler here (${COMPILERS.join(', ')})`
}
