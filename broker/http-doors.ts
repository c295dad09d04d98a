/** Where HTTP comes in: part of the composition root (main.ts). */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Logger } from '../shared/runtime/logger.ts'
import type { Environment } from '../shared/runtime/option-table.ts'
import { readPage } from './adapters/http-page.ts'
import { HttpServer } from './adapters/http-server.ts'
import type { GatewayConfig } from './config.ts'
import type { HttpCalls } from './http-calls.ts'
import type { Secured } from './secured.ts'

export interface HttpDoors {
  readonly http: HttpServer
  /** Of a gateway that is secured. */
  readonly admin?: HttpServer
}

const ADMIN_SOCKET = 'admin.sock'

/** Where the owner of a secured gateway talks to it: in the directory that the service manager made for that. */
export function adminSocket(environment: Environment, data: string): string {
  return join(environment.RUNTIME_DIRECTORY?.split(':')[0] || data, ADMIN_SOCKET)
}

/** None listens yet: what is asked of the gateway may need them both. */
export function httpDoors(
  { httpHost: host, httpPort: port, httpFrameAncestors: frameAncestors }: GatewayConfig,
  secured: Secured | undefined,
  { calls, adminPath }: { readonly calls: HttpCalls; readonly adminPath: string },
  log: Logger,
): HttpDoors {
  const page = readPage(fileURLToPath(new URL('./dashboard/', import.meta.url)))
  const settings = { page, frameAncestors }
  const address = { host, port, ...settings }
  if (secured === undefined) return { http: new HttpServer(address, calls, log) }
  const { security, hosts, door } = secured
  const { access, shut } = security
  const secure = { keys: hosts.keys, commands: door.keys, access, shut }
  // Who can open it needs no name.
  const opened = (): void => security.socketOpened()
  return {
    http: new HttpServer({ ...address, secure }, calls, log),
    admin: new HttpServer({ path: adminPath, opened, ...settings }, calls, log),
  }
}
