/** Where an installed program has its files; one table for install, uninstall, doctor and images. */
import { join } from 'node:path'
import { GATEWAY } from '../../broker/config.ts'
import { AGENT } from '../../firmware-agent/config.ts'
import { compareVersions } from '../../shared/core/versions.ts'
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

/** `>=20.19` is all that our package.json says. */
export function isNewEnough(version: string, range: string): boolean {
  return compareVersions(version, `${range.replace('>=', '')}.0`) >= 0
}

/** The oldest systemd that was tried: Debian 12's. Also in install.sh. */
export const SYSTEMD_LEAST = 252

function unitPlace(name: string) {
  const wants = `/etc/systemd/system/multi-user.target.wants/${name}`
  return { name, file: `/etc/systemd/system/${name}`, wants }
}

export type Places = ReturnType<typeof placesOf>

/** Paths as the running system sees them; `under` puts them below another root. */
export function placesOf(role: Role) {
  const name = `obelisk-${role}`
  const unit = `${name}.service`
  const configuration = defaultFile(role)
  const credential = `/etc/credstore/${CREDENTIAL}`
  // Of agents that had a password.
  const oldCredential = '/etc/credstore/obelisk-mqtt-password'
  const state = `/var/lib/${name}`
  const privateState = `/var/lib/private/${name}`
  return {
    unit,
    tree: `/usr/lib/${name}`,
    previous: `/usr/lib/${name}.previous`,
    configuration,
    credential,
    oldCredential,
    /** Where an agent has its identity, with and without a user of its own. */
    identities: [`/var/lib/private/${name}/identity`, `/var/lib/${name}/identity`],
    unitFile: `/etc/systemd/system/${unit}`,
    packagedUnitFile: `/lib/systemd/system/${unit}`,
    dropIn: `/etc/systemd/system/${unit}.d/10-install.conf`,
    wants: `/etc/systemd/system/multi-user.target.wants/${unit}`,
    command: '/usr/bin/obelisk',
    state,
    privateState,
    /** What uninstall leaves without --purge. */
    kept: [configuration, credential, oldCredential, state, privateState],
    dpkgList: `/var/lib/dpkg/info/${name}.list`,
    /** Of an agent: what looks for versions that its gateway sends, and what installs them. */
    upgradeUnits: role === 'agent' ? UPGRADE_UNITS.map(unitPlace) : [],
    /** Where that says what became of one. */
    upgradeRuntime: `/run/${name}-upgrade`,
  }
}

/** What a run leaves that is cut off, and no run needs: made beside its place, or on its way out. */
export function litterOf(places: Places) {
  const { tree, previous } = places
  const trees = [partialOf(tree), failedOf(tree), partialOf(previous)]
  const unproven = unprovenOf(tree)
  const files = [...writtenOf(places).map(partialOf), unproven, partialOf(unproven)]
  const about = 'a run that was cut off left it'
  return [...trees, ...files].map((path) => ({ path, about, isTree: trees.includes(path) }))
}

/** The files and links that an installation writes beside its tree. */
export function writtenOf(places: Places): readonly string[] {
  const { configuration, credential, unitFile, dropIn, wants, command, upgradeUnits } = places
  const upgrades = upgradeUnits.flatMap(({ file, wants: link }) => [file, link])
  return [configuration, credential, unitFile, dropIn, wants, command, ...upgrades]
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
