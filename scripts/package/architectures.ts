import { architectureOf } from '../../shared/runtime/architecture.ts'

/** What there is a package for. */
export const ROLES = ['agent', 'gateway'] as const
export type Role = (typeof ROLES)[number]

/** By the names that Debian gives them. */
export const ARCHITECTURES = ['amd64', 'arm64', 'armhf'] as const
export type Architecture = (typeof ARCHITECTURES)[number]

/** A gateway needs the address space of 64 bits. */
export function isPackaged(role: Role, architecture: Architecture): boolean {
  return role === 'agent' || architecture !== 'armhf'
}

/** Of an agent: what looks for versions that its gateway sends, and what installs them. */
export const UPGRADE_UNITS = [
  'obelisk-agent-upgrade.path',
  'obelisk-agent-upgrade.service',
] as const

/** That of this machine, where it is one of ours. */
export function hostArchitecture(): Architecture | undefined {
  return ARCHITECTURES.find((architecture) => architecture === architectureOf(process.arch))
}
