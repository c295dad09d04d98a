import type { SecurityStatus } from '../answers.ts'
import { asWords, formatAge, formatNumber, formatTime } from '../format.ts'
import { useAsked } from '../parts/asked.ts'
import { type Fact, Facts } from '../parts/facts.tsx'
import { Heads } from '../parts/heads.tsx'
import { Problem } from '../parts/problem.tsx'
import { NotSecured } from '../parts/secret.tsx'

/** How it stands with who may come in. The whole log is read by obelisk security log. */
export function Security() {
  const { value: status, problem } = useAsked<SecurityStatus>('api/security/status')
  if (status === undefined) return <Problem of={problem} />
  if (status.mode === 'open') return <NotSecured />
  const { locked, refused, log } = status
  return (
    <>
      {log.isBroken && (
        <p class="note bad" role="alert">
          The security log cannot be written: nobody can change who may come in until it can.
        </p>
      )}
      <div class="panel spaced">
        <Facts of={factsOf(status)} />
      </div>
      <h3>Refused since the gateway was started</h3>
      <div class="panel spaced-after">
        {refused.length === 0 ? (
          <p class="empty">Nobody was.</p>
        ) : (
          <table class="wide">
            <Heads of={['last time', 'what', 'who', 'from', 'times']} numbers={['times']} />
            <tbody>
              {refused.map(({ ts, event, who, source, code, count }) => (
                <tr key={`${event} ${who} ${source} ${code}`}>
                  <td>{formatTime(ts)}</td>
                  <td>
                    {asWords(event)} {code !== undefined && <code>{code}</code>}
                  </td>
                  <td data-title="who">{who}</td>
                  <td data-title="from">{source}</td>
                  <td class="number" data-title="times">
                    {formatNumber(count)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      {locked.length > 0 && (
        <>
          <h3>Locked for a while</h3>
          <ul class="panel spaced">
            {locked.map(({ user, source, seconds }) => (
              <li key={`${user} ${source}`}>
                {user ?? 'anybody'} from {source}, for {formatAge(1000 * seconds)}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  )
}

function factsOf({ authority, openTokens, log }: SecurityStatus): Fact[] {
  const { backupTs } = authority
  return [
    ['authority, until', formatTime(authority.untilTs)],
    ...authority.leaves.map(
      ({ of, names, untilTs }): Fact => [
        `certificate for ${of}, until`,
        <>
          {formatTime(untilTs)}
          <br />
          <span class="soft">{names.join(', ')}</span>
        </>,
      ],
    ),
    [
      'last backup of the keys',
      backupTs === undefined ? <span class="bad">none yet</span> : formatTime(backupTs),
    ],
    ['tokens of boards, open', formatNumber(openTokens)],
    ['security log', <code key="log">{log.folder}</code>],
  ]
}
