import type { NodeId } from '../../shared/core/ids.ts'
import { isPlainObject } from '../../shared/protocol/problems.ts'
import { decodeTelemetry } from '../../shared/protocol/telemetry.ts'
import type { NodeView } from '../../shared/protocol/views.ts'

/** An agent's has 300; a board that sends more than this is kept in memory without it. */
const BIRTH_BYTES_MAX = 4096

export interface NodeReport {
  readonly node: NodeId
  readonly kind: 'node-info' | 'node-telemetry'
  readonly payload: Uint8Array
}

/** The last that members told of themselves, besides their streams: what they are, and how they are. */
export class NodeReports {
  readonly #births = new Map<NodeId, Readonly<Record<string, unknown>>>()
  readonly #telemetry = new Map<NodeId, Readonly<Record<string, unknown>>>()

  /** The report's members, or nothing where it is none. */
  take({ node, kind, payload }: NodeReport): Readonly<Record<string, unknown>> | undefined {
    const fields = kind === 'node-info' ? decodeBirth(payload) : decodeTelemetry(payload)
    if (fields !== undefined) {
      const reports = kind === 'node-info' ? this.#births : this.#telemetry
      reports.set(node, fields)
    }
    return fields
  }

  /** It is no member any more. */
  forget(node: NodeId): void {
    this.#births.delete(node)
    this.#telemetry.delete(node)
  }

  /** As one of many it is shown without its whole birth. */
  addTo(node: NodeView, { isAlone }: { readonly isAlone: boolean }): NodeView {
    const info = this.#births.get(node.id)
    const telemetry = this.#telemetry.get(node.id)
    return {
      ...node,
      ...(typeof info?.version === 'string' ? { version: info.version } : {}),
      ...(isAlone && info !== undefined ? { info } : {}),
      ...(telemetry === undefined ? {} : { telemetry }),
    }
  }
}

function decodeBirth(payload: Uint8Array): Record<string, unknown> | undefined {
  if (payload.length > BIRTH_BYTES_MAX) return undefined
  try {
    const birth: unknown = JSON.parse(Buffer.from(payload).toString())
    return isPlainObject(birth) ? birth : undefined
  } catch {
    return undefined
  }
}
