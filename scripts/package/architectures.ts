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

/** Debian's name of Node's; Node's own, where it is none of ours. */
export function architectureOf(arch: string): string {
  return { x64: 'amd64', arm64: 'arm64', arm: 'armhf' }[arch] ?? arch
}

/** That of this machine, where it is one of ours. */
export function hostArchitecture(): Architecture | undefined {
  return ARCHITECTURES.find((architecture) => architecture === architectureOf(process.arch))
}
