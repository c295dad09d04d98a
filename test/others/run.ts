/**
 * `npm run test:others`: what other programs are given of a fleet, tried on those programs themselves. Fetches what it
 * misses; what cannot be had is skipped by name, and with nothing at all it ends with 80: a skip is no success.
 */
import { NEEDED } from './programs.ts'

/** Not an exit code of tap, nor of a program that a signal ended. */
const EXIT_SKIPPED = 80

const wanted = process.argv.slice(2)
process.argv.splice(2)
const isWanted = (name: string): boolean =>
  wanted.length === 0 || wanted.some((part) => name.includes(part))
const stories = Object.keys(NEEDED).filter((name) => isWanted(name) && isHere(name))
for (const name of stories) await import(new URL(`${name}-story.ts`, import.meta.url).href)
if (stories.length === 0) process.exitCode = EXIT_SKIPPED

function isHere(name: string): boolean {
  const { isThere, fetch } = NEEDED[name]!
  if (!isThere()) fetch()
  if (isThere()) return true
  process.stdout.write(`skipped: test of others: there is no ${name}\n`)
  return false
}
