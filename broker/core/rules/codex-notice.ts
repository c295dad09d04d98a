/**
 * What everybody sees of the codex, on `gateway/codex`: names, glyphs, current versions with their hashes, ghosts with
 * what became of them, and contexts. It is published anew with each change, but not with each task that a ghost shadows.
 */
import { MAIN_CONTEXT } from '../../../shared/protocol/program-call.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'

export function publishCodex(context: CoordinatorContext): void {
  const { codex, ghosts, ts } = context
  const programs = codex.programs.map(({ name, number, glyph }) => {
    const version = codex.currentOf(name, MAIN_CONTEXT)
    const current = version === undefined ? undefined : codex.find(name, version)
    const ghost = ghosts.of(name)
    return {
      ...{ name, number, version: version ?? null, hash: current?.hash ?? null },
      ...(glyph === null ? {} : { glyph }),
      ...(ghost === undefined ? {} : { ghost: { version: ghost.version, state: ghost.state } }),
    }
  })
  const others = codex.contexts.filter(([name]) => name !== MAIN_CONTEXT)
  const contexts = Object.fromEntries(others.map(([name, record]) => [name, record.programs]))
  const { integrity } = codex
  const payload = JSON.stringify({ programs, contexts, integrity, ts })
  context.retain({ kind: 'gateway-codex' }, payload)
}
