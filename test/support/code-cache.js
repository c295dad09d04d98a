/**
 * Runs a program with what V8 made of it before, which is kept beside it: to read and compile it takes half of its start.
 * V8 keeps nothing of modules, so the program is a function here. What another version or other flags of V8 made, it
 * refuses by itself.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'

/**
 * Runs the function beside the module of this URL; resolves with what the program exports. With `KEEP_CODE`, what was
 * compiled is kept when this process ends.
 *
 * @param {string} url
 * @param {(specifier: string) => Promise<unknown>} importModule as that module does
 */
export async function runCached(url, importModule) {
  const filename = fileURLToPath(url).replace(/mjs$/, 'function.js')
  const kept = `${filename}.cache`
  const cachedData = bytesOf(kept)
  const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData })
  if (process.env.KEEP_CODE !== undefined) {
    process.once('exit', () => {
      writeFileSync(kept, script.createCachedData())
      // Also for other users: a gateway has a mask of its own.
      chmodSync(kept, 0o644)
    })
  }
  return await script.runInThisContext()(createRequire(url), url, importModule)
}

/** @param {string} file */
function bytesOf(file) {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}
