/**
 * One process for one data directory: who listens on its socket owns it. A socket, unlike a file with
 * a process id, dies with its process, so a file that nobody answers on is stale. The abstract name
 * beside it (unix(7)) is taken first, at once or not at all: two processes that find the same stale
 * file cannot both replace it. The file is what a process in another network namespace meets.
 */
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { AppError, EXIT_SOFTWARE, messageOf } from './errors.ts'

const SOCKET_NAME = 'lock.sock'
/** `sun_path` of a socket address holds 108 bytes with the closing zero. */
const SOCKET_PATH_BYTES_MAX = 107

export class ExclusiveLock {
  readonly #servers: readonly Server[]
  readonly #directory: number

  private constructor(servers: readonly Server[], directory: number) {
    this.#servers = servers
    this.#directory = directory
  }

  /** Takes the directory, making it if needed; fails with `data-directory-in-use`. */
  static async acquire(path: string): Promise<ExclusiveLock> {
    mkdirSync(path, { recursive: true })
    const { dev, ino } = statSync(path)
    const directory = openSync(path, 'r')
    const servers: Server[] = []
    try {
      servers.push(await listen(`\0obelisk-lock:${dev}:${ino}`, path))
      const file = join(path, SOCKET_NAME)
      const address =
        Buffer.byteLength(file) <= SOCKET_PATH_BYTES_MAX
          ? file
          : `/proc/self/fd/${directory}/${SOCKET_NAME}`
      if (await answers(address)) throw inUse(path)
      rmSync(file, { force: true })
      servers.push(await listen(address, path))
      return new ExclusiveLock(servers, directory)
    } catch (error) {
      await closeAll(servers)
      closeSync(directory)
      throw error
    }
  }

  async release(): Promise<void> {
    await closeAll(this.#servers)
    closeSync(this.#directory)
  }
}

async function answers(address: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

async function listen(address: string, path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? inUse(path) : unusable(path, error))
    })
    server.listen(address, resolve)
  })
  return server.unref()
}

/** The last opened first: the socket file goes while the name is still held. */
async function closeAll(servers: readonly Server[]): Promise<void> {
  for (const server of servers.toReversed()) {
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
}

function inUse(path: string): AppError {
  return new AppError('data-directory-in-use', `another process uses ${path}`, {
    exitCode: EXIT_SOFTWARE,
  })
}

function unusable(path: string, error: Error): AppError {
  return new AppError('data-directory-unusable', `cannot lock ${path}: ${messageOf(error)}`, {
    cause: error,
    exitCode: EXIT_SOFTWARE,
  })
}
