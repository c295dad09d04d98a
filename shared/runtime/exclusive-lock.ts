/**
 * One process for one data directory: who listens on its socket owns it. A socket, unlike a file with
 * a process id, dies with its process, so a file that nobody answers on is stale. The abstract name
 * beside it (unix(7)) is taken first, at once or not at all: two processes that find the same stale
 * file cannot both replace it. The file is what a process in another network namespace meets.
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { own } from '../core/own.ts'
import { asOwnerOfPlace } from './as-owner.ts'
import {
  AppError,
  EXIT_CONFIG,
  EXIT_NO_ROOM,
  EXIT_NOT_ALLOWED,
  EXIT_SOFTWARE,
  messageOf,
} from './errors.ts'
import { makeDirectory } from './make-directory.ts'

const SOCKET_NAME = 'lock.sock'
/** `sun_path` of a socket address holds 108 bytes with the closing zero. */
const SOCKET_PATH_BYTES_MAX = 107
/** Whether starting again may help. */
const EXIT_CODES: Readonly<Record<string, number>> = {
  ENOENT: EXIT_CONFIG,
  ENOTDIR: EXIT_CONFIG,
  EEXIST: EXIT_CONFIG,
  ELOOP: EXIT_CONFIG,
  ENAMETOOLONG: EXIT_CONFIG,
  EACCES: EXIT_NOT_ALLOWED,
  EPERM: EXIT_NOT_ALLOWED,
  EROFS: EXIT_NOT_ALLOWED,
  ENOSPC: EXIT_NO_ROOM,
  EDQUOT: EXIT_NO_ROOM,
}

const REMEDY = ': end it, or name another directory with --data'
/** For what is done once to the data of a gateway that does not run. */
export const GATEWAY_FIRST =
  ': end the gateway first (systemctl stop obelisk-gateway, or Ctrl-C), then do this again'

export class ExclusiveLock {
  readonly #servers: readonly Server[]
  readonly #directory: number

  private constructor(servers: readonly Server[], directory: number) {
    this.#servers = servers
    this.#directory = directory
  }

  /** As `acquire`, for what root does in a directory that may be somebody else's. */
  static async acquireAsOwner(path: string, remedy = REMEDY): Promise<ExclusiveLock> {
    try {
      const socket = join(path, SOCKET_NAME)
      return await asOwnerOfPlace(socket, (at) => ExclusiveLock.acquire(dirname(at), remedy))
    } catch (error) {
      if (error instanceof AppError) throw error
      throw unusable(path, 'use', error as NodeJS.ErrnoException)
    }
  }

  /** Takes the directory, making it if needed; fails with `data-directory-in-use`, and the remedy, or `-unusable`. */
  static async acquire(path: string, remedy = REMEDY): Promise<ExclusiveLock> {
    const { dev, ino, directory } = openDirectory(path)
    const servers: Server[] = []
    try {
      servers.push(await listen(`\0obelisk-lock:${dev}:${ino}`, path, remedy))
      const file = join(path, SOCKET_NAME)
      // Below /proc it is the descriptor of somebody who may close it before this is released.
      const address =
        Buffer.byteLength(file) <= SOCKET_PATH_BYTES_MAX && !file.startsWith('/proc/')
          ? file
          : `/proc/self/fd/${directory}/${SOCKET_NAME}`
      if (await answers(address)) throw inUse(path, remedy)
      rmSync(file, { force: true })
      servers.push(await listen(address, path, remedy))
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

function openDirectory(path: string): { dev: number; ino: number; directory: number } {
  try {
    makeDirectory(path)
    const { dev, ino } = statSync(path)
    return { dev, ino, directory: openSync(path, 'r') }
  } catch (error) {
    throw unusable(path, 'use', error as NodeJS.ErrnoException)
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

async function listen(address: string, path: string, remedy: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? inUse(path, remedy) : unusable(path, 'lock', error))
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

function inUse(path: string, remedy: string): AppError {
  return new AppError('data-directory-in-use', `another process uses ${path}${remedy}`, {
    exitCode: EXIT_SOFTWARE,
  })
}

function unusable(path: string, what: string, error: NodeJS.ErrnoException): AppError {
  const message = `cannot ${what} ${path}: ${messageOf(error)}`
  const exitCode = own(EXIT_CODES, error.code ?? '') ?? EXIT_SOFTWARE
  return new AppError('data-directory-unusable', message, { cause: error, exitCode })
}
