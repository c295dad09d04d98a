/** A real Mosquitto as a process of a test, which can be ended and started again on the same port. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, type Fleet, freePort, isAnswered, type Run } from './processes.ts'

/** It lies where only root looks. */
const PATH = `${process.env.PATH}:/usr/sbin`

/** Why a test with it is to be skipped; false where it is installed. */
export function lacksMosquitto(): string | false {
  const { error } = spawnSync('mosquitto', ['-h'], { env: { ...process.env, PATH } })
  return error === undefined ? false : 'no mosquitto'
}

export class Mosquitto {
  readonly port: number
  readonly #fleet: Fleet
  readonly #file: string
  run: Run

  /** Answers clients of this machine, and has these lines in its configuration besides. */
  static async start(fleet: Fleet, lines: string): Promise<Mosquitto> {
    const port = await freePort()
    const directory = join(fleet.directory, `mosquitto-${port}`)
    mkdirSync(directory)
    const file = join(directory, 'mosquitto.conf')
    // The user that it would change to could not read what is in the test's directory.
    const own = `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\n`
    writeFileSync(file, `${own}${lines}\n`)
    return await new Mosquitto(fleet, file, port).ready()
  }

  private constructor(fleet: Fleet, file: string, port: number) {
    this.#fleet = fleet
    this.#file = file
    this.port = port
    this.run = this.#begin()
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  async ready(): Promise<this> {
    await eventually('mosquitto answers', () => isAnswered(this.port))
    return this
  }

  /** After its end: the same again. */
  async restart(): Promise<void> {
    this.run = this.#begin()
    await this.ready()
  }

  #begin(): Run {
    return this.#fleet.command('mosquitto', ['-c', this.#file], { PATH })
  }
}
