import { tidied } from '../../shared/runtime/tidied.ts'
import { fault } from '../fault.ts'
import type { SystemPrograms } from '../install/system-programs.ts'

/** States of a unit in which somebody wants it to run. */
const WANTED: readonly string[] = ['active', 'activating', 'reloading', 'failed']
/** Nobody waits until it is up. */
const START = ['--no-block', 'start']

export async function whileDown(
  programs: Pick<SystemPrograms, 'run' | 'runNow'>,
  unit: string,
  work: () => Promise<number>,
  { isAwaited = true }: { readonly isAwaited?: boolean } = {},
): Promise<number> {
  const { stdout } = await programs.run('systemctl', ['show', '-p', 'ActiveState', unit])
  if (!WANTED.includes(stdout.trim().replace('ActiveState=', ''))) return await work()
  const systemctl = async (words: readonly string[]): Promise<void> => {
    const { code, stderr } = await programs.run('systemctl', [...words, unit])
    if (code === 0) return
    const message = `systemctl ${words.join(' ')} ${unit}: ${stderr}`
    throw fault('restart-failed', message)
  }
  let isToStart = true
  return await tidied(
    // The error that is on its way says more than one of this.
    () => {
      if (isToStart) programs.runNow('systemctl', [...START, unit])
    },
    async () => {
      await systemctl(['stop']).catch((error) => {
        isToStart = false
        throw error
      })
      const code = await work()
      await systemctl(isAwaited ? ['start'] : START)
      isToStart = false
      return code
    },
  )
}
