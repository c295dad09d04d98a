/**
 * `npm run test:page`: the page in a real browser, of a gateway and agents that are processes. Installs Debian's
 * chromium where that is possible; ends with 80 where there is none, and says so: a skip is no success.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { chromiumPath } from './browser.ts'

/** Not an exit code of tap, nor of a program that a signal ended. */
const EXIT_SKIPPED = 80
const FOLDER = new URL('./', import.meta.url)

if (chromiumPath() === undefined && process.getuid?.() === 0) {
  for (const argv of [
    ['-q', 'update'],
    ['-qy', '--no-install-recommends', 'install', 'chromium'],
  ]) {
    spawnSync('apt-get', argv, { stdio: 'inherit' })
  }
}
if (chromiumPath() === undefined) {
  process.stdout.write('skipped: tests of the page: chromium is missing\n')
  process.exitCode = EXIT_SKIPPED
} else {
  const wanted = process.argv.slice(2)
  process.argv.splice(2)
  const files = readdirSync(FOLDER)
    .filter((name) => name.endsWith('-story.ts'))
    .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  for (const name of files.sort()) await import(new URL(name, FOLDER).href)
}
