import type { Field } from '../../../shared/grid/fields.ts'
import { WordField } from '../parts/word-field.tsx'
import type { Argument } from './forms.ts'

interface Props {
  readonly argument: Argument
  readonly fields: readonly Field[]
}

/** By kind, how it is typed where nobody knows which fields there are. */
const TYPED: ReadonlyMap<string, string> = new Map([
  ['field', ''],
  ['fields', 'with a space between'],
  ['values', 'field=number …'],
])

/** What an argument is typed into, by its kind. */
export function Control({ argument, fields }: Props) {
  const { name, kind, optional, min, max, choices = [] } = argument
  const title = optional ? `${name} (optional)` : name
  const names = fields.map((field) => field.name)
  // Who may not look at the grid types what its fields are called.
  const typed = names.length === 0 ? TYPED.get(kind) : undefined
  if (typed !== undefined) {
    return (
      <WordField
        title={
          <>
            {title} <span class="soft">{typed}</span>
          </>
        }
        name={name}
        required={!optional}
      />
    )
  }
  switch (kind) {
    case 'field':
      return <Select title={title} name={name} options={names} />
    case 'choice':
      return <Select title={title} name={name} options={choices} />
    case 'fields':
      return <Checks title={title} name={name} options={names} />
    case 'choices':
      return <Checks title={title} name={name} options={choices} chosen={argument.default} />
    case 'flag':
      return (
        <label class="check">
          <input type="checkbox" name={name} /> {title}
        </label>
      )
    case 'values':
      return (
        <fieldset class="group">
          <legend>{title}</legend>
          {argument.choices === undefined
            ? fields.map((field) => (
                <label key={field.name}>
                  {field.name} <span class="soft">{field.type}</span>
                  <input type="number" step="any" name={`${name}.${field.name}`} />
                </label>
              ))
            : choices.map((one) => (
                <label key={one}>
                  {one}
                  <input type="number" step="any" name={`${name}.${one}`} required />
                </label>
              ))}
        </fieldset>
      )
    case 'number':
    case 'whole':
      return (
        <label>
          {title}
          <input
            type="number"
            name={name}
            step={kind === 'whole' ? 1 : 'any'}
            required={!optional}
            placeholder={argument.default === undefined ? '' : `${argument.default}`}
            {...(min !== undefined && { min })}
            {...(max !== undefined && { max })}
          />
        </label>
      )
    default:
      return (
        <label class="long">
          {title} <span class="soft">{SHAPES.get(kind) ?? 'with a space or comma between'}</span>
          <textarea
            name={name}
            rows={kind === 'source' ? 8 : 2}
            spellcheck={false}
            required={!optional}
          />
        </label>
      )
  }
}

/** What is typed, where that is no plain list. */
const SHAPES: ReadonlyMap<string, string> = new Map([
  ['cells', 'x,y x,y …'],
  ['source', 'a statement a line'],
  ['numbered', 'name=number'],
])

interface Options {
  readonly title: string
  readonly name: string
  readonly options: readonly string[]
  readonly chosen?: unknown
}

function Select({ title, name, options }: Options) {
  return (
    <label>
      {title}
      <select name={name}>
        {options.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </label>
  )
}

function Checks({ title, name, options, chosen }: Options) {
  const isChosen = (one: string): boolean => Array.isArray(chosen) && chosen.includes(one)
  return (
    <fieldset class="group">
      <legend>{title}</legend>
      {options.map((one) => (
        <label key={one} class="check">
          <input type="checkbox" name={name} value={one} defaultChecked={isChosen(one)} /> {one}
        </label>
      ))}
    </fieldset>
  )
}
