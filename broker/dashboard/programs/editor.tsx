import { useId, useRef } from 'preact/hooks'
import type { Fault } from '../../../shared/client/obelisk-error.ts'
import { drawPlaced } from '../../../shared/osl/osl-problems.ts'
import { Problem } from '../parts/problem.tsx'
import type { Outcome } from './check.ts'
import { Explained } from './explained.tsx'
import { type Range, rangeOf } from './places.ts'
import { summaryOf } from './words.ts'

interface Props {
  readonly text: string
  readonly outcome: Outcome | undefined
  type(text: string): void
}

/** The text of a program, and below it what the gateway says of it while it is typed. */
export function Editor({ text, outcome, type }: Props) {
  const area = useRef<HTMLTextAreaElement>(null)
  const said = useId()
  const select = ({ start, end }: Range): void => {
    area.current!.focus()
    area.current!.setSelectionRange(start, end)
  }
  return (
    <>
      <label>
        <span>
          source <span class="soft">a statement a line</span>
        </span>
        <textarea
          ref={area}
          rows={Math.min(24, Math.max(5, text.split('\n').length + 1))}
          spellcheck={false}
          autocapitalize="none"
          value={text}
          aria-describedby={said}
          aria-invalid={outcome?.kind === 'faulty'}
          onInput={(event) => type(event.currentTarget.value)}
        />
      </label>
      <div id={said} class="said" aria-live="polite">
        {text.trim() !== '' && <Said text={text} outcome={outcome} select={select} />}
      </div>
      {outcome?.kind === 'sound' && <Explained of={outcome.value} />}
    </>
  )
}

interface SaidProps extends Omit<Props, 'type'> {
  select(range: Range): void
}

function Said({ text, outcome, select }: SaidProps) {
  switch (outcome?.kind) {
    case undefined:
      return <p class="soft">checking…</p>
    case 'sound':
      return <p>{summaryOf(outcome.value)}</p>
    case 'unknown':
      return <Problem of={outcome.problem} />
    case 'faulty':
      return (
        <ul class="faults">
          {outcome.faults.map((fault, index) => (
            <li key={index}>
              <FaultLine fault={fault} text={text} select={select} />
            </li>
          ))}
        </ul>
      )
  }
}

interface FaultProps extends Pick<SaidProps, 'text' | 'select'> {
  readonly fault: Fault
}

function FaultLine({ fault, text, select }: FaultProps) {
  const { line, column, length = 1, message, hint } = fault
  const range = rangeOf(text, fault)
  if (range === undefined) return <p class="bad">{message}</p>
  return (
    <>
      <button type="button" class="row" onClick={() => select(range)}>
        line {line}, column {column}
      </button>
      <pre>{drawPlaced(text, { line: line!, column: column!, length, message, hint })}</pre>
    </>
  )
}
