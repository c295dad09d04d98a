import { GatewayClient } from './http.ts'
import { HttpDoor } from './http-door.ts'
import { Obelisk } from './obelisk.ts'

export type { GatewayClient, Question } from './http.ts'
export type { Cells, Obelisk, Overview } from './obelisk.ts'
export { ObeliskError } from './obelisk-error.ts'
export type { Progress, RunOptions, Task, TaskResult } from './task.ts'

/**
 * A fleet, for a page: empty for the gateway that the page came from, whose cookie says who it is; else `https://host:port`
 * and the token of a user.
 */
export function connect(url = '', options: { readonly token?: string } = {}): Obelisk {
  return new Obelisk(new HttpDoor(new GatewayClient(url, options)))
}
