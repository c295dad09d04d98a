/** What a ledger that is there asks of the configuration: its tiles lie on the nodes in one shape, which stays. */
import { type Field, fieldTypeOf, findField, formatColumns } from '../shared/grid/fields.ts'
import { ConfigError, type Source } from '../shared/runtime/config.ts'
import { type GATEWAY_OPTIONS, type GatewayConfig, minInSyncProblem } from './config.ts'
import { type IdentityRecord, wasRebuilt } from './core/ledger-records.ts'

/** The options that a ledger fixes. */
const FIXED = ['grid', 'tile', 'fields', 'replicas'] as const
type Shape = Pick<GatewayConfig, (typeof FIXED)[number]>

const FORMATS: { readonly [K in keyof Shape]: (value: Shape[K]) => string } = {
  grid: ({ width, height }) => `${width}x${height}`,
  tile: String,
  fields: formatColumns,
  replicas: String,
}

/**
 * The configuration, but with the shape of the ledger, if there is one. What stands for no data is no part of it:
 * where fields are given, they say that.
 */
export function withShapeOf(
  known: IdentityRecord | undefined,
  config: GatewayConfig,
  { areFieldsGiven = false }: { areFieldsGiven?: boolean } = {},
): GatewayConfig {
  if (known === undefined) return config
  const shape = shapeOf(known)
  if (!areFieldsGiven) return { ...config, ...shape }
  const fields = shape.fields.map(({ name, type }): Field => {
    const given = findField(config.fields, name)
    return given?.type === type ? given : { name, type }
  })
  return { ...config, ...shape, fields }
}

/** Throws ConfigError when something else is asked for than what is `settled`. */
export function assertShape(
  settled: GatewayConfig,
  config: GatewayConfig,
  sources: Readonly<Record<keyof typeof GATEWAY_OPTIONS, Source>>,
): void {
  const problems = FIXED.flatMap((name) => {
    if (sources[name] === 'default') return []
    const format = FORMATS[name] as (value: unknown) => string
    const [has, asked] = [format(settled[name]), format(config[name])]
    if (has === asked) return []
    return [
      `--${name}: the ledger in ${config.data} was made with ${has}, not with ${asked}; leave the option out to go on with that, or name another directory with --data (or remove ${config.data}, if nothing in it is needed)`,
    ]
  })
  const problem = problems.length > 0 ? undefined : minInSyncProblem(settled)
  if (problem !== undefined) problems.push(problem)
  if (problems.length > 0) throw new ConfigError(problems)
}

function shapeOf({ grid: { width, height, tile }, fields, replicas }: IdentityRecord): Shape {
  const own = fields.map(({ type, ...rest }) => ({ ...rest, type: fieldTypeOf(type) ?? type }))
  return { grid: { width, height }, tile, fields: own, replicas }
}

/** A ledger that is there is not rebuilt, and one that is being rebuilt is none yet: throws ConfigError. */
export function assertRecovery(
  known: IdentityRecord | undefined,
  { recoverNodes, data }: GatewayConfig,
): void {
  if (known === undefined) return
  if (known.isRecovering === true && recoverNodes === 0 && known.restored === undefined) {
    throw new ConfigError([
      `the ledger in ${data} is being rebuilt; say how many nodes to wait for: obelisk gateway recover --nodes <n>`,
    ])
  }
  if (recoverNodes === 0 || known.isRecovering === true || wasRebuilt(known)) return
  throw new ConfigError([
    `there is a ledger in ${data} already; to rebuild it from the nodes, move it away first`,
  ])
}
