/** Functions of the language that are some glyphs, written out where they are called. */
import type { ValueGraph } from './value-graph.ts'

/** A function of numbers, by its name; `width` is how many LSUs a row of the grid has. */
export function writtenOut(
  graph: ValueGraph,
  name: string,
  values: readonly number[],
  width: number,
): number {
  const [value, low, high] = values as [number, number, number]
  const zero = (): number => graph.constant(0)
  switch (name) {
    case 'clamp':
      return graph.emit('min', [graph.emit('max', [value, low]), high])
    case 'coalesce':
      return graph.emit('pick', [graph.emit('missing', [value]), low, value])
    case 'round':
      return graph.emit('floor', [graph.emit('add', [value, graph.constant(0.5)])])
    case 'ceil': {
      const floor = graph.emit('floor', [graph.emit('sub', [zero(), value])])
      return graph.emit('sub', [zero(), floor])
    }
    case 'sign': {
      const isAbove = graph.emit('lt', [zero(), value])
      const isBelow = graph.emit('lt', [value, zero()])
      const rest = graph.emit('pick', [isBelow, graph.constant(-1), zero()])
      return graph.emit('pick', [isAbove, graph.constant(1), rest])
    }
    case 'random': {
      const row = graph.emit('mul', [graph.emit('y', []), graph.constant(width)])
      const id = graph.emit('add', [row, graph.emit('x', [])])
      return graph.emit('mul', [graph.emit('hash', [value, id]), graph.constant(2 ** -32)])
    }
    default:
      return graph.emit(name, values)
  }
}

/** A whole power, by squares. */
export function power(graph: ValueGraph, base: number, exponent: number): number {
  let [result, square] = [undefined as number | undefined, base]
  for (let rest = exponent; rest > 0; rest >>= 1) {
    if (rest & 1) result = result === undefined ? square : graph.emit('mul', [result, square])
    if (rest > 1) square = graph.emit('mul', [square, square])
  }
  return result!
}

/** One of two conditions: missing if `asked` is, which the last term alone says where both are false. */
export function pickCondition(graph: ValueGraph, asked: number, yes: number, no: number): number {
  const isNot = graph.emit('not', [asked])
  const left = graph.emit('and', [asked, yes])
  const right = graph.emit('and', [isNot, no])
  const either = graph.emit('or', [left, right])
  return graph.emit('or', [either, graph.emit('and', [asked, isNot])])
}
