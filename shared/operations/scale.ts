/** `scale`: every LSU of the region becomes `scaled`; named fields are set. */
import { STATUS_SCALED } from '../grid/status.ts'
import { assignFields, type FieldValues, fillWindow, parseFieldValues } from './field-values.ts'
import type { WriteOperation } from './operation.ts'

export const scale: WriteOperation = {
  kind: 'write',
  name: 'scale',
  about: {
    does: 'makes every LSU of a region scaled, and gives named fields a value',
    args: [{ name: 'fields', kind: 'values', isOptional: true }],
  },
  parse: (args, _region, context) => parseFieldValues(args, context.fields, { required: false }),
  fieldsOf(args) {
    const { fields } = args as FieldValues
    return fields.length === 0 ? 'all' : fields
  },
  argumentBytesPerTile: () => 0,
  cut: (args) => args,
  run: (args, { fields }) => ({
    isAlike: true,
    act(cells, window) {
      fillWindow(cells, fields.length, window, STATUS_SCALED)
      assignFields(cells, window, args as FieldValues)
    },
  }),
}
