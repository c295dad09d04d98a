/**
 * Inputs: messages of others that tell cells, as the configuration says which (`[[input]]`). A message outside the base
 * is parsed once, however many inputs are for its topic. Each finds its number in it by a JSON pointer, and its cell by
 * itself or in the levels of the topic. What one of them cannot take is a problem, and no reason not to take the others.
 * Nothing is a problem that devices do all the time: a part that is left out of a message or is null, and an empty
 * message, which takes away what is retained.
 */
import { isUtf8 } from 'node:buffer'
import { assert } from '../../shared/core/assert.ts'
import { formatPointer, type JsonPointer, valueAt } from '../../shared/core/json-pointer.ts'
import { type Field, findField, held, RANGES, takes } from '../../shared/grid/fields.ts'
import { notTaken } from '../../shared/operations/field-values.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { FilterTrie } from '../../shared/protocol/filter-trie.ts'
import { INPUT_BYTES_MAX } from '../../shared/protocol/limits.ts'
import { NAME_SHOWN_MAX, PROBLEMS_MAX, type Problem } from '../../shared/protocol/problems.ts'
import {
  noSuchCell,
  plainNumber,
  type ReadingsResult,
  tooLarge,
} from '../../shared/protocol/readings.ts'
import { parseCoordinate } from '../../shared/protocol/topics.ts'

/** A column or a row, or where it stands in the topic: for the so-manieth `+`, from 1. */
export type Coordinate = number | { readonly wildcard: number }

export interface Input {
  /** A filter, with `+` alone. */
  readonly topic: string
  readonly pointer: JsonPointer
  readonly field: string
  readonly x: Coordinate
  readonly y: Coordinate
  readonly scale: number
  readonly offset: number
}

interface Place {
  readonly input: Input
  /** In the order of the configuration: of one cell, the last one counts. */
  readonly index: number
  readonly field: Field
  readonly fieldIndex: number
  /** Levels of the topic that are its `+`. */
  readonly wildcards: readonly number[]
}

interface Document {
  /** Undefined if it is no UTF-8. */
  readonly text: string | undefined
  /** Undefined if it is no JSON. */
  readonly json: unknown
}

/** As people count them. */
function inputName(index: number): string {
  return `[[input]] ${index + 1}`
}

export class Inputs {
  readonly #grid: GridContext
  readonly #places = new FilterTrie<Place[]>()

  /** The grid has the field of each. */
  constructor(inputs: readonly Input[], grid: GridContext) {
    this.#grid = grid
    for (const [index, input] of inputs.entries()) {
      const field = findField(grid.fields, input.field)
      assert(field !== undefined, `the grid has the field ${input.field}`)
      const levels = input.topic.split('/')
      const fieldIndex = grid.fields.indexOf(field)
      const wildcards = [...levels.keys()].filter((at) => levels[at] === '+')
      const place = { input, index, field, fieldIndex, wildcards }
      const others = this.#places.get(input.topic)
      if (others === undefined) this.#places.set(input.topic, [place])
      else others.push(place)
    }
  }

  /**
   * What those for this topic take out of a message, a result for each field; empty if there is nothing in it for any.
   * Undefined where none is for it.
   */
  readerOf(topic: string): ((payload: Uint8Array) => readonly ReadingsResult[]) | undefined {
    const found = this.#places.matching(topic)
    return found.length === 0 ? undefined : (payload) => this.#read(topic, found, payload)
  }

  #read(topic: string, found: Place[][], payload: Uint8Array): readonly ReadingsResult[] {
    if (payload.length === 0) return []
    // Those of one filter are in order.
    const places = found.length === 1 ? found[0]! : found.flat().sort((a, b) => a.index - b.index)
    if (payload.length > INPUT_BYTES_MAX) return [tooLarge(payload, INPUT_BYTES_MAX)]
    const levels = topic.split('/')
    const document = documentOf(payload)
    const byField = new Map<number, { cells: number[]; values: number[] }>()
    const problems: Problem[] = []
    for (const place of places) {
      const { fieldIndex, index } = place
      const one = this.#readOne(place, levels, document)
      if (one === undefined) continue
      if ('code' in one) {
        const path = inputName(index)
        const message = `${path}: ${one.message}`
        if (problems.length < PROBLEMS_MAX) problems.push({ ...one, path, message })
        continue
      }
      const readings = byField.get(fieldIndex) ?? { cells: [], values: [] }
      byField.set(fieldIndex, readings)
      readings.cells.push(one.cell)
      readings.values.push(one.value)
    }
    const results: ReadingsResult[] = [...byField].map(([field, readings]) => ({
      ok: true,
      readings: { field, ...readings },
    }))
    return problems.length === 0 ? results : [...results, { ok: false, problems }]
  }

  /** Undefined where the message has nothing for it. */
  #readOne(
    { input, field, wildcards }: Place,
    levels: readonly string[],
    document: Document,
  ): { readonly cell: number; readonly value: number } | Problem | undefined {
    const number = numberAt(document, input.pointer)
    if (typeof number !== 'number') return number
    const [x, y] = [input.x, input.y].map((given) =>
      typeof given === 'number' ? given : levels[wildcards[given.wildcard - 1]!]!,
    )
    const column = coordinateOf(x!)
    const row = coordinateOf(y!)
    if (column === undefined || row === undefined) {
      const level = shownOf(column === undefined ? x : y)
      return { path: '', code: 'wrong-type', message: `${level} in its topic is no column or row` }
    }
    const { geometry } = this.#grid
    if (column >= geometry.width || row >= geometry.height) {
      return noSuchCell('', { x: column, y: row }, geometry)
    }
    const scaled = number * input.scale + input.offset
    const value = RANGES[field.type].isWhole ? Math.round(scaled) : scaled
    if (!takes(field.type, value)) return notTaken('the value', field, value)
    return { cell: row * geometry.width + column, value: held(field.type, value) }
  }
}

function coordinateOf(given: number | string): number | undefined {
  return typeof given === 'number' ? given : parseCoordinate(given)
}

function documentOf(payload: Uint8Array): Document {
  const text = isUtf8(payload) ? Buffer.from(payload).toString('utf8') : undefined
  try {
    return { text, json: text === undefined ? undefined : JSON.parse(text) }
  } catch {
    return { text, json: undefined }
  }
}

/**
 * A text that is a number is one, as in a reading; so is a message that is no JSON, if all of it is asked for. Contacts
 * and the like say true and false: 1 and 0.
 */
function numberAt({ text, json }: Document, pointer: JsonPointer): number | Problem | undefined {
  const isWhole = pointer.length === 0
  const document = isWhole && json === undefined ? text : json
  if (document === undefined)
    return { path: '', code: 'malformed', message: 'the message is no JSON' }
  const found = valueAt(document, pointer)
  if (found === undefined || found === null) return undefined
  if (typeof found === 'boolean') return Number(found)
  const number = typeof found === 'string' ? plainNumber(found) : found
  if (typeof number === 'number') return number
  const name = isWhole ? 'the message' : formatPointer(pointer)
  return { path: '', code: 'wrong-type', message: `${name} is ${shownOf(found)}, no number` }
}

function shownOf(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, NAME_SHOWN_MAX)}"`
  if (typeof value !== 'object') return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}
