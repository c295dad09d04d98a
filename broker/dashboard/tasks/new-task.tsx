import { useState } from 'preact/hooks'
import type { OperationShown } from '../../../shared/operations/operation.ts'
import type { GridView } from '../../../shared/protocol/views.ts'
import { useAsked } from '../parts/asked.ts'
import { Problem } from '../parts/problem.tsx'
import { may } from '../session.ts'
import { TaskForm } from './task-form.tsx'

/** Any task: its form is made of what the gateway says of the operation. */
export function NewTask() {
  const { value: operations, problem } = useAsked<readonly OperationShown[]>('api/operations')
  if (operations === undefined) return <Problem of={problem} />
  // Who may not look at the grid has to know it.
  return may('read') ? <WithGrid operations={operations} /> : <Chosen operations={operations} />
}

interface Props {
  readonly operations: readonly OperationShown[]
  readonly grid?: GridView
}

function WithGrid({ operations }: Props) {
  const { value: grid, problem } = useAsked<GridView>('api/grid')
  if (grid === undefined) return <Problem of={problem} />
  return <Chosen operations={operations} grid={grid} />
}

function Chosen({ operations, grid }: Props) {
  const [op, setOp] = useState('stat')
  const operation = operations.find((one) => one.op === op) ?? operations[0]!
  return (
    <TaskForm operation={operation} grid={grid}>
      <label>
        does
        <select value={op} onChange={(event) => setOp(event.currentTarget.value)}>
          {operations.map((one) => (
            <option key={one.op}>{one.op}</option>
          ))}
        </select>
      </label>
    </TaskForm>
  )
}
