import { useState } from 'preact/hooks'
import type { RuleBookView } from '../../../shared/protocol/views.ts'
import { formatNumber, UNKNOWN } from '../format.ts'
import { Age } from '../parts/age.tsx'
import { Folded } from '../parts/folded.tsx'
import { Heads } from '../parts/heads.tsx'
import { Mark } from '../parts/mark.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { ask } from '../session.ts'
import { Allowed } from './allowed.tsx'
import { useAgain, useTold } from './told.ts'
import { bookText, standingOf } from './words.ts'

const AGAIN_MS = 5_000

/** The rule book: what each rule says, and how it stands. */
export function Rules() {
  const { value: book, problem, again } = useTold<RuleBookView>('api/rules')
  useAgain(again, AGAIN_MS)
  if (book === undefined) return <Problem of={problem} />
  return (
    <>
      <div class="panel">
        {book.rules.length === 0 ? (
          <p class="empty">There is no rule.</p>
        ) : (
          <table class="wide">
            <caption class="unseen">Rules, as the book has them</caption>
            <Heads of={['rule', 'when', 'state', 'cells', 'since']} numbers={['cells']} />
            <tbody>
              {book.rules.map((rule) => (
                <Row key={rule.name} rule={rule} />
              ))}
            </tbody>
          </table>
        )}
      </div>
      <Folded title="Another book">
        <NewBook book={book} onSet={again} />
      </Folded>
    </>
  )
}

function Row({ rule }: { readonly rule: RuleBookView['rules'][number] }) {
  const { name, when, over, message, count, ts } = rule
  const { word, shape, mood } = standingOf(rule)
  return (
    <tr>
      <th scope="row">
        {name} <span class="soft said">{message}</span>
      </th>
      <td class="wraps" data-title="when">
        <code>{when}</code>
        {over && (
          <span class="soft">
            {' '}
            in {over.x}, {over.y}, {over.w} × {over.h}
          </span>
        )}
      </td>
      <td data-title="state">
        <Mark shape={shape} mood={mood} />
        {word}
      </td>
      <td class="number" data-title="cells">
        {count === undefined ? UNKNOWN : formatNumber(count)}
      </td>
      <td data-title="since">
        <Age ts={ts} />
      </td>
    </tr>
  )
}

interface NewBookProps {
  readonly book: RuleBookView
  onSet(): Promise<void>
}

/** It takes the place of the version that it was made from, and of no other. */
function NewBook({ book, onSet }: NewBookProps) {
  const [basis, setBasis] = useState(book.version)
  const [text, setText] = useState(() => bookText(book.rules))
  const { run, isBusy, problem } = useOrder()
  const isOld = basis !== book.version
  const anew = (): void => {
    setBasis(book.version)
    setText(bookText(book.rules))
  }
  const set = (): void => {
    void run(async () => {
      const body = { rules: JSON.parse(text), if_version: basis }
      const { version } = await ask<RuleBookView>('api/rules', { method: 'PUT', body })
      setBasis(version)
    }).finally(onSet)
  }
  return (
    <div class="panel spaced workbench">
      <Allowed title="Setting rules" right="operate">
        <label>
          <span>
            rules <span class="soft">as JSON</span>
          </span>
          <textarea
            rows={8}
            spellcheck={false}
            autocapitalize="none"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <div class="buttons">
          <button type="button" class="main" disabled={isBusy} onClick={set}>
            set in place of version {basis}
          </button>
          <button type="button" onClick={anew}>
            from version {book.version} anew
          </button>
        </div>
      </Allowed>
      {isOld && (
        <p class="mild" role="status">
          The book is at version {book.version} by now; this was made from version {basis}.
        </p>
      )}
      <Problem of={problem} />
    </div>
  )
}
