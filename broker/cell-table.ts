/** `[[input]]` and `[[watch]]`: messages that tell cells, and cells whose numbers the gateway publishes. */
import { formatPointer, type JsonPointer, parsePointer } from '../shared/core/json-pointer.ts'
import { GRID_SIDE_MAX } from '../shared/grid/geometry.ts'
import { isFilter } from '../shared/protocol/topic-filters.ts'
import { TOPIC_LEVELS_MAX } from '../shared/protocol/topics.ts'
import {
  integer,
  malformed,
  number,
  type OptionType,
  text,
} from '../shared/runtime/option-types.ts'
import type { TableArray } from '../shared/runtime/table-arrays.ts'
import type { Coordinate } from './core/inputs.ts'
import { label, sensorClass } from './option-types.ts'

const POINTER_LENGTH_MAX = 256
const FACTOR_MAX = 1_000_000_000

const filter = text<string>({
  placeholder: '<topic>',
  range: 'a topic outside the base, or a filter with `+`',
  parse(given) {
    const levels = given.split('/')
    if (!isFilter(given) || levels.includes('#') || given.startsWith('$')) {
      return malformed(
        `"${given}" is no topic of others; "+" is the one wildcard, and a whole level`,
      )
    }
    if (levels.length <= TOPIC_LEVELS_MAX) return { ok: true, value: given }
    return malformed(`"${given}" has more than ${TOPIC_LEVELS_MAX} levels`)
  },
})

const pointer: OptionType<JsonPointer> = {
  placeholder: '<pointer>',
  range: 'a JSON pointer (RFC 6901)',
  fileValues: ['string'],
  parse(given) {
    const parsed = given.length <= POINTER_LENGTH_MAX ? parsePointer(given) : undefined
    return parsed === undefined
      ? malformed(
          `"${given.slice(0, POINTER_LENGTH_MAX)}" is no JSON pointer, as "/temperature" is`,
        )
      : { ok: true, value: Object.freeze(parsed) }
  },
  format: formatPointer,
}

const whole = integer({ min: 0, max: GRID_SIDE_MAX - 1 })

const coordinate: OptionType<Coordinate> = {
  placeholder: '<n>',
  range: `${whole.range}, or "$1" for the first "+" of the topic, "$2" for the second…`,
  fileValues: ['number', 'string'],
  parse(given) {
    const wildcard = /^\$([1-9]\d?)$/.exec(given)
    if (wildcard !== null)
      return { ok: true, value: Object.freeze({ wildcard: Number(wildcard[1]) }) }
    return whole.parse(given)
  },
  format: (given) => (typeof given === 'number' ? String(given) : `$${given.wildcard}`),
}

const factor = number({ min: -FACTOR_MAX, max: FACTOR_MAX })

const field = {
  type: text({ range: 'the name of a field' }),
  isRequired: true,
  about: 'The field of the grid.',
} as const
const x = { isRequired: true, about: 'The column of the cell.' } as const
const y = { isRequired: true, about: 'The row of the cell.' } as const

const inputColumns = {
  topic: { type: filter, isRequired: true, about: 'What its messages are published to.' },
  pointer: {
    type: pointer,
    default: Object.freeze([]) as JsonPointer,
    defaultText: '`""`, the whole message',
    about: 'Where in the message the number stands.',
  },
  field,
  x: { ...x, type: coordinate },
  y: { ...y, type: coordinate },
  scale: { type: factor, default: 1, about: 'What the number is multiplied with.' },
  offset: {
    type: factor,
    default: 0,
    about: 'What is added then; a field of whole numbers takes the nearest one.',
  },
} as const

export const INPUT_TABLE: TableArray<typeof inputColumns> = {
  key: 'input',
  about: 'A number in messages of others that is a reading of a cell; see sensors.md.',
  countMax: 1000,
  columns: inputColumns,
  relations: (['x', 'y'] as const).map((name) => ({
    of: [name, 'topic'] as const,
    check({ topic, ...given }) {
      const place = given[name]
      const wildcards = topic.split('/').filter((level) => level === '+').length
      if (typeof place === 'number' || place.wildcard <= wildcards) return undefined
      return `${name}: "$${place.wildcard}" is no "+" of "${topic}", which has ${wildcards}`
    },
  })),
}

export const WATCH_TABLE = {
  key: 'watch',
  about: 'A cell whose number is published, retained, whenever it has changed.',
  countMax: 1000,
  columns: {
    field,
    x: { ...x, type: whole },
    y: { ...y, type: whole },
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
