/** Lets Node run TypeScript: `node --import=./test/support/typescript/register.js test/….ts`. */
import { register } from 'node:module'

register('./hooks.js', import.meta.url)

// For its coverage tap has a loader put into every process that a test starts: each would start
// later and be larger than what ships.
const OF_TAP = /"--import=[^"]*@tapjs\/processinfo[^"]*"/
const options = (process.env.NODE_OPTIONS ?? '').replace(OF_TAP, '').trim()
if (options === '') delete process.env.NODE_OPTIONS
else process.env.NODE_OPTIONS = options
