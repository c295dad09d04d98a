/** Light nodes by the hundred: named, connected some at a time, and beating one after the other. */
import type { NodeId } from '../../shared/core/ids.ts'
import type { LightNode } from './light-node.ts'

const CONNECTING_AT_ONCE = 50
const TICK_MS = 20

export function nodeNames(count: number, prefix = 'node-'): NodeId[] {
  return Array.from({ length: count }, (_, at) => {
    return `${prefix}${String(at).padStart(5, '0')}` as NodeId
  })
}

/** Resolves once the gateway has admitted all. */
export async function connectAll(nodes: readonly LightNode[]): Promise<void> {
  for (let at = 0; at < nodes.length; at += CONNECTING_AT_ONCE) {
    const some = nodes.slice(at, at + CONNECTING_AT_ONCE)
    await Promise.all(some.map((node) => node.connect()))
  }
}

/** Each that is connected beats once in `everyMs`; `onBeat` is told who, and how many beats there were before. */
export function beginBeats(
  nodes: readonly LightNode[],
  everyMs: number,
  onBeat: (node: LightNode, beat: number) => void = () => {},
): NodeJS.Timeout {
  const beatsATick = (nodes.length * TICK_MS) / everyMs
  let [turn, beat] = [0, 0]
  return setInterval(() => {
    for (turn += 1; beat < Math.floor(turn * beatsATick); beat++) {
      const node = nodes[beat % nodes.length]!
      node.beat()
      onBeat(node, beat)
    }
  }, TICK_MS)
}
