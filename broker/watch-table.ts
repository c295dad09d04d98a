/** `[[watch]]`: a cell whose number the gateway publishes. */
import { GRID_SIDE_MAX } from '../shared/grid/geometry.ts'
import { integer, text } from '../shared/runtime/option-types.ts'
import { label, sensorClass } from './option-types.ts'

const coordinate = integer({ min: 0, max: GRID_SIDE_MAX - 1 })

export const WATCH_TABLE = {
  key: 'watch',
  about: 'A cell whose number is published, retained, whenever it has changed.',
  countMax: 1000,
  columns: {
    field: {
      type: text({ range: 'the name of a field' }),
      isRequired: true,
      about: 'Of the grid.',
    },
    x: { type: coordinate, isRequired: true, about: 'Its column.' },
    y: { type: coordinate, isRequired: true, about: 'Its row.' },
    name: {
      type: label(64),
      defaultText: 'field, column and row',
      about: 'What Home Assistant calls it.',
    },
    unit: { type: label(16), about: 'Of the number, as Home Assistant takes it.' },
    deviceClass: { type: sensorClass, about: 'What it is to Home Assistant.' },
  },
  relations: [],
} as const
