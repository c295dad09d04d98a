/** What the coordinator notices that belongs into the security log. */
import type { NodeId } from '../shared/core/ids.ts'
import type { SecurityEvent, ToldEvent } from '../shared/protocol/security-events.ts'
import { named } from '../shared/protocol/security-log.ts'
import type { GatewayNotice } from './core/effects.ts'
import type { RefusedCode } from './core/rules/admission.ts'

/** Where the connections of a node come from. */
export interface NodeSources {
  /** Of the one that has come, and speaks for nobody yet. */
  readonly source?: string
  /** Of the one that speaks for the node. */
  readonly other?: string
}

/** Two boards go by one name, and the gateway lets nobody in who has not a key of it. */
const TWICE: readonly RefusedCode[] = ['id-taken', 'boot-behind', 'store-cloned']

const OF_CODEX = [
  ...([
    'program-defined',
    'program-switched',
    'context-set',
    'ghost-begun',
    'ghost-ended',
  ] as const),
] as const

function isOfCodex(code: string): code is (typeof OF_CODEX)[number] {
  return OF_CODEX.some((one) => one === code)
}

export function securityEventOf(
  { code, fields = {} }: Pick<GatewayNotice, 'code' | 'fields'>,
  sourcesOf: (node: NodeId) => NodeSources,
): SecurityEvent<ToldEvent> | undefined {
  const { reason, node, by, via } = fields
  if (reason === 'not-granted') {
    const told = { event: 'grant-refused', who: `${by}`, code: reason } as const
    return { ...told, via: via === 'http' ? 'http' : 'mqtt' }
  }
  // What became of a ghost by itself was done by nobody.
  if (isOfCodex(code) && by !== undefined) {
    const { program, context, version } = fields
    const what = program === undefined ? named('context', context) : named('program', program)
    const told = { event: code, who: `${by}`, what, code: `version-${version}` } as const
    return { ...told, via: by === 'admin' ? 'socket' : 'http' }
  }
  const twice = code === 'node-refused' ? reason : code
  if (!TWICE.some((one) => one === twice)) return undefined
  const told = { event: 'identity-twice', who: named('node', node), code: `${twice}` } as const
  return { ...told, via: 'mqtt', ...sourcesOf(node as NodeId) }
}
