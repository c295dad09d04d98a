/** A relay as a process of its own, inside a network namespace. Arguments: two places as JSON. */
import { type Place, TcpRelay } from './tcp-relay.ts'

const [at, to] = process.argv.slice(2).map((text) => JSON.parse(text) as Place)
await TcpRelay.open(to!, at)
process.stderr.write('ready to pass on\n')
