/** Programs of others that tests run: from Debian, npm and PyPI, where they are not there already. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKOUT } from '../../scripts/package/checkout.ts'

const FOLDER = join(CHECKOUT, '.tap/others')

/** Of the last version that runs on our oldest Node. */
export const NODE_RED = join(FOLDER, 'node-red/node_modules/node-red/red.js')
export const GRAFANA_TYPES = join(
  FOLDER,
  'grafana/node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts',
)
export const PYTHON = join(FOLDER, 'venv/bin/python')

const answers = (...[command, ...argv]: readonly string[]): boolean =>
  spawnSync(command!, argv).status === 0

const run = (...[command, ...argv]: readonly string[]): void => {
  spawnSync(command!, argv, { stdio: ['ignore', 'inherit', 'inherit'] })
}

interface Needed {
  isThere(): boolean
  fetch(): void
}

const ofDebian = (program: string): Needed => ({
  isThere: () => answers(program, '--version'),
  fetch() {
    if (process.getuid?.() !== 0) return
    run('apt-get', '-q', 'update')
    run('apt-get', '-qy', '--no-install-recommends', 'install', program)
  },
})

const ofNpm = (name: string, version: string, file: string): Needed => ({
  isThere: () => existsSync(file),
  fetch() {
    const folder = join(FOLDER, name)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{"private":true}\n')
    run('npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', version)
  },
})

/** By the story that needs them. */
export const NEEDED: Readonly<Record<string, Needed>> = {
  zsh: ofDebian('zsh'),
  fish: ofDebian('fish'),
  prometheus: ofDebian('prometheus'),
  'node-red': ofNpm('node-red', 'node-red@4', NODE_RED),
  grafana: ofNpm('grafana', '@grafana/schema@13', GRAFANA_TYPES),
  paho: {
    isThere: () => answers(PYTHON, '-c', 'import paho.mqtt, cbor2, numpy'),
    fetch() {
      if (!answers('python3', '-c', 'import ensurepip')) ofDebian('python3-venv').fetch()
      run('python3', '-m', 'venv', join(FOLDER, 'venv'))
      run(PYTHON, '-m', 'pip', 'install', '-q', 'paho-mqtt>=2,<3', 'cbor2', 'numpy')
    },
  },
}
