/** Aedes as its package has it, on a free loopback port: what a delivery costs without what the gateway does besides. */
import { type AddressInfo, createServer } from 'node:net'
import { Aedes } from 'aedes'

const aedes = await Aedes.createBroker()
const server = createServer({ noDelay: true }, (socket) => aedes.handle(socket))
server.listen(0, '127.0.0.1', () => {
  process.stderr.write(`ready port=127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
