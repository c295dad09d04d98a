/** `set`: named fields of every LSU of the region get a value; status stays as it is. */
import { assignFields, type FieldValues, parseFieldValues } from './field-values.ts'
import type { WriteOperation } from './operation.ts'

export const set: WriteOperation = {
  kind: 'write',
  name: 'set',
  about: {
    does: 'gives named fields one value in every LSU of a region',
    args: [{ name: 'fields', kind: 'values' }],
  },
  parse: (args, _region, context) => parseFieldValues(args, context.fields, { required: true }),
  fieldsOf: (args) => (args as FieldValues).fields,
  argumentBytesPerTile: () => 0,
  cut: (args) => args,
  run: (args) => ({
    isAlike: true,
    act(cells, window) {
      assignFields(cells, window, args as FieldValues)
    },
  }),
}
