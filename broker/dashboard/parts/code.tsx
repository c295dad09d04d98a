import { useState } from 'preact/hooks'
import { own } from '../../../shared/core/own.ts'
import { useAsked } from './asked.ts'
import { Problem } from './problem.tsx'

/** A code, and what the manual says of it once somebody wants to know. */
export function Code({ code }: { readonly code: string }) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <code>{code}</code>
      </summary>
      {isOpen && <Said code={code} />}
    </details>
  )
}

type Manual = Readonly<Record<string, readonly string[]>>

function Said({ code }: { readonly code: string }) {
  const { value, problem } = useAsked<Manual>('codes.json')
  if (value === undefined) return <Problem of={problem} />
  const [meaning = 'The manual says nothing of it.', remedy] = own(value, code) ?? []
  return (
    <>
      <p>
        <Coded text={meaning} />
      </p>
      {remedy && (
        <p>
          <b>What helps:</b> <Coded text={remedy} />
        </p>
      )}
    </>
  )
}

/** What stands between backticks is code. */
function Coded({ text }: { readonly text: string }) {
  const parts = text.split('`').map((part, place) => ({ part, place }))
  return (
    <>
      {parts.map(({ part, place }) => (place % 2 === 1 ? <code key={place}>{part}</code> : part))}
    </>
  )
}
