/** Debian's name of an architecture that Node names; Node's own, where it is none of ours. */
export function architectureOf(arch: string): string {
  return { x64: 'amd64', arm64: 'arm64', arm: 'armhf' }[arch] ?? arch
}
