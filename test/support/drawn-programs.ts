/** Programs that simulated clients bring along: random ones, over the fields of a simulated grid. */
import type { Random } from '../../shared/core/random.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { parseProgram } from '../../shared/operations/program.ts'
import type { PlainRegion, PlainTask } from './grid-model.ts'
import { ProgramWriter } from './osl-programs.ts'

const LIMITS = { costMax: 1e12 }
/** Of code and constants: the body must have room in the smallest log that is drawn. */
const BYTES_MAX = 1500

/** What other tasks are checked by are sums that are exact. */
const WHOLE = 'value = clamp(floor(value), -1e6, 1e6)'

const AROUND = 'let around = coalesce(value[-1, 1], 3) + coalesce(value[2, 0], 1)'
const WHOLE_AROUND = 'value = clamp(floor(value + around / 2), -1e6, 1e6)'

export function drawProgram(
  kind: 'write' | 'read' | 'near',
  random: Random,
  region: PlainRegion,
  grid: GridContext,
): NonNullable<PlainTask['args']> {
  const steps = kind === 'near' ? { steps: 1 + random.integer(2) } : {}
  for (;;) {
    const writer = new ProgramWriter(random, {
      fields: grid.fields,
      nodata: ['nodata value -9999', 'nodata level 255'],
      reach: kind === 'near' ? 2 : 0,
    })
    const source =
      kind === 'read'
        ? writer.read()
        : kind === 'write'
          ? `${writer.write()}\n${WHOLE}`
          : `${AROUND}\n${writer.write()}\n${WHOLE_AROUND}`
    const used = Object.entries(writer.parameters).filter(([name]) => source.includes(`$${name}`))
    const args = { source, with: Object.fromEntries(used), ...steps }
    const parsed = parseProgram(args, region, grid, LIMITS)
    if (parsed.ok) {
      const { code, pool } = parsed.value.args as Record<string, Uint8Array>
      if (code!.length + pool!.length <= BYTES_MAX) return args
    } else if (
      !parsed.problems.every(({ code }) => code.startsWith('osl-too-') || code === 'out-of-range')
    ) {
      throw new Error(`${parsed.problems[0]!.message}\n${source}`)
    }
  }
}
