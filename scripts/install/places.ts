/** Where an installed program has its files; one table for install, uninstall, doctor and images. */
import { join } from 'node:path'
import { GATEWAY } from '../../broker/config.ts'
import { AGENT } from '../../firmware-agent/config.ts'
import { defaultFile, type Program } from '../../shared/runtime/config.ts'
import type { OptionTable } from '../../shared/runtime/option-table.ts'
import { ROLES, type Role, UPGRADE_UNITS } from '../package/architectures.ts'
import { partialOf } from '../whole-file.ts'

export function isRole(text: unknown): text is Role {
  return ROLES.some((role) => role === text)
}

export function otherRole(role: Role): Role {
  return role === 'agent' ? 'gateway' : 'agent'
}

/** The program, whose option table also says what an installation may be told. */
export function programOf(role: Role): Program<OptionTable> {
  return (role === 'agent' ? AGENT : GATEWAY) as unknown as Program<OptionTable>
}

/** Name of the systemd credential file; relative in the unit, so that a missing one is no failure. */
export const CREDENTIAL = 'obelisk-enroll-token'

/** Where a Node may be, the best first: ours, which flash puts there, then those of the system. */
export const NODE_PATHS = [
  '/usr/lib/obelisk-node/bin/node',
  '/usr/bin/node',
  '/usr/local/bin/node',
] as const

/** The Node that is needed, where a package does not say it. */
export const NODE_RANGE = '>=20.19'

/** The oldest systemd that was tried: Debian 12's. Also in install.sh. */
export const SYSTEMD_LEAST = 252

export type UnitPlace = ReturnType<typeof unitPlace>

function unitPlace(name: string) {
  const wants = `/etc/systemd/system/multi-user.target.wants/${name}`
  return { name, file: `/etc/systemd/system/${name}`, wants }
}

export type Places = ReturnType<typeof placesOf>

/** Paths as the running system sees them; `under` puts them below another root. */
export function placesOf(role: Role) {
  const name = `obelisk-${role}`
  const unit = `${name}.service`
  return {
    unit,
    tree: `/usr/lib/${name}`,
    previous: `/usr/lib/${name}.previous`,
    configuration: defaultFile(role),
    configurationDirectory: '/etc/obelisk',
    credential: `/etc/credstore/${CREDENTIAL}`,
    credentialDirectory: '/etc/credstore',
    /** Of agents that had a password. */
    oldCredential: '/etc/credstore/obelisk-mqtt-password',
    /** Where an agent has its identity, with and without a user of its own. */
    identities: [`/var/lib/private/${name}/identity`, `/var/lib/${name}/identity`],
    unitFile: `/etc/systemd/system/${unit}`,
    packagedUnitFile: `/lib/systemd/system/${unit}`,
    dropIn: `/etc/systemd/system/${unit}.d/10-install.conf`,
    dropInDirectory: `/etc/systemd/system/${unit}.d`,
    wants: `/etc/systemd/system/multi-user.target.wants/${unit}`,
    command: '/usr/bin/obelisk',
    state: `/var/lib/${name}`,
    privateState: `/var/lib/private/${name}`,
    dpkgList: `/var/lib/dpkg/info/${name}.list`,
    /** Of an agent: what looks for versions that its gateway sends, and what installs them. */
    upgradeUnits: role === 'agent' ? UPGRADE_UNITS.map(unitPlace) : [],
    /** Where that says what became of one. */
    upgradeRuntime: `/run/${name}-upgrade`,
  }
}

/** What a run leaves that is cut off: made beside its place, or on its way out. */
export function leftoversOf(places: Places): {
  trees: readonly string[]
  files: readonly string[]
} {
  const { configuration, credential, unitFile, dropIn, wants, command, tree, previous } = places
  const upgrades = places.upgradeUnits.flatMap(({ file, wants: link }) => [file, link])
  const files = [configuration, credential, unitFile, dropIn, wants, command, ...upgrades]
  return {
    trees: [partialOf(tree), failedOf(tree), partialOf(previous)],
    files: [...files.map(partialOf), unprovenOf(tree), partialOf(unprovenOf(tree))],
  }
}

/** Where a tree goes that is not kept. */
export function failedOf(tree: string): string {
  return `${tree}.failed`
}

/** The inventory of a tree that is no way back, should power fail while it is in the place of the one that is. */
export function unprovenOf(tree: string): string {
  return `${tree}.unproven`
}

export function under(root: string, path: string): string {
  return root === '/' ? path : join(root, path)
}
