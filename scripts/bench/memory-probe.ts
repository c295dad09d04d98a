/**
 * Loaded into a gateway before its own code (`node --import`), which it leaves as it is: says, to whoever asks over the
 * channel to the parent process, what memory it uses, as V8 counts it.
 */

/** With `--expose-gc`, what is garbage is collected first. */
export const MEMORY_ASKED = 'memory-probe'

export type MemoryUsed = Pick<NodeJS.MemoryUsage, 'heapUsed' | 'heapTotal' | 'external'>

process.on('message', (message) => {
  if (message !== MEMORY_ASKED) return
  // The second one waits until what the first found is given back.
  globalThis.gc?.()
  globalThis.gc?.()
  process.send?.(process.memoryUsage())
})
