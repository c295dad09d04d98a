/** What of the configuration is judged by what this machine has: the ledger that is there, and files that it names. */
import { allSound } from '../shared/runtime/config.ts'
import type { Running } from '../shared/runtime/program.ts'
import { type BridgeEnds, bridgeEnds } from './bridge.ts'
import type { GATEWAY_OPTIONS, GatewayConfig } from './config.ts'
import { coordinatorOptions } from './coordinator-options.ts'
import type { CoordinatorOptions } from './core/coordinator.ts'
import type { IdentityRecord } from './core/ledger-records.ts'
import { assertRecovery, assertShape, withShapeOf } from './ledger-shape.ts'

export interface SoundOptions {
  readonly options: CoordinatorOptions
  readonly ends: BridgeEnds | undefined
}

/** Throws one ConfigError with every problem. */
export function soundOptions(
  known: IdentityRecord | undefined,
  config: GatewayConfig,
  { file, sources }: Pick<Running<typeof GATEWAY_OPTIONS>, 'file' | 'sources'>,
  isSecured: boolean,
): SoundOptions {
  const settled = withShapeOf(known, config, { areFieldsGiven: sources.fields !== 'default' })
  const [options, ends] = allSound(
    () => coordinatorOptions(settled, file),
    () => bridgeEnds(config, isSecured),
    () => assertShape(settled, config, sources),
    () => assertRecovery(known, config),
  )
  return { options, ends }
}
