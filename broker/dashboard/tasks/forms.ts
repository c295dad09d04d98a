/** A task made of what was typed into a form that the gateway has described (GET /api/operations): plain functions. */
import { own } from '../../../shared/core/own.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import type { OperationShown } from '../../../shared/operations/operation.ts'

export type Argument = OperationShown['args'][number]

/** What was typed, by the names of the controls; of one that may be chosen several times, all. */
export type Typed = Readonly<Record<string, readonly string[]>>

export type Made =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly problems: readonly string[] }

/** Numbers with anything but a digit, sign or point between them. */
function numbersIn(text: string): number[] {
  return text
    .split(/[\s,;]+/)
    .filter((part) => part !== '')
    .map(Number)
}

/** Undefined where nothing was typed; NaN in it where it is no number. */
function argumentOf({ name, kind }: Argument, typed: Typed): unknown {
  const all = own(typed, name) ?? []
  const text = (all[0] ?? '').trim()
  switch (kind) {
    case 'flag':
      return text === '' ? undefined : true
    case 'fields':
    case 'choices': {
      const names = all.flatMap((one) => one.split(/[\s,]+/)).filter((one) => one !== '')
      return names.length === 0 ? undefined : names
    }
    case 'values':
    case 'numbered':
      return numbersByField(name, typed)
    case 'number':
    case 'whole':
      return text === '' ? undefined : Number(text)
    case 'numbers':
    case 'wholes':
      return text === '' ? undefined : numbersIn(text)
    case 'cells':
      return text === '' ? undefined : pairsOf(numbersIn(text))
    default:
      return text === '' ? undefined : text
  }
}

/** Of controls `fields.rain`, `fields.visits`, or of one: `rain=1 visits=2`. */
function numbersByField(name: string, typed: Typed): Record<string, number> | undefined {
  const inOne = (own(typed, name)?.[0] ?? '').split(/[\s,]+/).map((pair) => pair.split('='))
  const inMany = Object.entries(typed)
    .filter(([key, [text = '']]) => key.startsWith(`${name}.`) && text.trim() !== '')
    .map(([key, [text]]) => [key.slice(name.length + 1), text])
  const given = [...inOne.filter(([field]) => field !== ''), ...inMany].map(
    ([field, text]): [string, number] => [field!, text ? Number(text) : Number.NaN],
  )
  return given.length === 0 ? undefined : Object.fromEntries(given)
}

function pairsOf(numbers: readonly number[]): number[][] {
  const pairs: number[][] = []
  for (let at = 0; at < numbers.length; at += 2) pairs.push(numbers.slice(at, at + 2))
  return pairs
}

function hasNaN(value: unknown): boolean {
  if (typeof value === 'number') return Number.isNaN(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasNaN)
}

/** The gateway looks at the rest, and names each problem. */
export function taskOf({ op, over, args }: OperationShown, typed: Typed): Made {
  const given = args.map((argument) => ({ ...argument, value: argumentOf(argument, typed) }))
  const problems = given.flatMap(({ name, value, optional }) => {
    if (value === undefined) return optional ? [] : [`${name} is missing`]
    return hasNaN(value) ? [`${name} is not a number, or not only numbers`] : []
  })
  const region = over === 'region' ? regionOf(typed) : undefined
  if (region !== undefined && hasNaN(region)) problems.push('x, y, width and height are numbers')
  const items = over === 'items' ? itemsIn(typed.items?.[0] ?? '') : undefined
  if (items?.length === 0) problems.push('there is no item')
  if (problems.length > 0) return { ok: false, problems }
  const id = (typed.id?.[0] ?? '').trim()
  const named = given.filter(({ value }) => value !== undefined)
  const entries = named.map(({ name, value }) => [name, value])
  const body = {
    ...(id !== '' && { id }),
    op,
    ...(region && { region }),
    ...(items && { items }),
    ...(entries.length > 0 && { args: Object.fromEntries(entries) }),
  }
  return { ok: true, body }
}

function regionOf(typed: Typed): Region {
  const [x, y, w, h] = ['x', 'y', 'w', 'h'].map((name) => {
    const text = own(typed, name)?.[0] ?? ''
    return text.trim() === '' ? Number.NaN : Number(text)
  })
  return { x: x!, y: y!, w: w!, h: h! }
}

/** A line each: what is before the first `=` is the key, else the place in the list is. */
function itemsIn(text: string): { readonly key: string; readonly data: string }[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line, index) => {
    const [, key, data] = /^([^=]*)=(.*)$/s.exec(line) ?? []
    return key === undefined
      ? { key: `${index + 1}`, data: line }
      : { key: key.trim(), data: data! }
  })
}

export function typedOf(form: FormData): Typed {
  const typed = new Map<string, string[]>()
  for (const [name, value] of form) typed.set(name, [...(typed.get(name) ?? []), `${value}`])
  return Object.fromEntries(typed)
}
