/** `scale`: every LSU of the region becomes `scaled`; named fields are set. */
import { assignFields, type FieldValues, fillWindow, parseFieldValues } from './field-values.ts'
import type { WriteOperation } from './operation.ts'

/** `STATUS_SCALED` of the tile page; its name is what `get` shows. */
const SCALED = 1

export const scale: WriteOperation = {
  kind: 'write',
  name: 'scale',
  parse: (args, _region, context) => parseFieldValues(args, context.fields, { required: false }),
  argumentBytesPerTile: () => 0,
  cut: (args) => args,
  run: (args) => ({
    act(cells, window) {
      fillWindow(cells.status, window, SCALED)
      assignFields(cells, window, args as FieldValues)
    },
  }),
}
