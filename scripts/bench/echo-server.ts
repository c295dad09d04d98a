/** A bare TCP echo on a free loopback port, in a process of its own: what a round trip costs at least. */
import { type AddressInfo, createServer } from 'node:net'

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.pipe(socket)
})
server.listen(0, '127.0.0.1', () => {
  process.stderr.write(`ready port=127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
