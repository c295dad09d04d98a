import type { SecurityStatus } from '../answers.ts'
import { formatAge, formatNumber, formatTime } from '../format.ts'
import { useAsked } from '../parts/asked.ts'
import { NotSecured } from '../parts/secret.tsx'

/** How it stands with who may come in. The whole log is read by obelisk security log. */
export function Security() {
  const { value: status, problem } = useAsked<SecurityStatus>('api/security/status')
  if (status === undefined) return <p class="problem">{problem}</p>
  if (status.mode === 'open') return <NotSecured />
  const { authority, openTokens, locked, refused, log } = status
  return (
    <>
      {log.isBroken && (
        <p class="note bad" role="alert">
          The security log cannot be written: nobody can change who may come in until it can.
        </p>
      )}
      <div class="panel spaced">
        <dl>
          <div>
            <dt>authority, until</dt>
            <dd>{formatTime(authority.untilTs)}</dd>
          </div>
          {authority.leaves.map(({ of, names, untilTs }) => (
            <div key={of}>
              <dt>certificate for {of}, until</dt>
              <dd>
                {formatTime(untilTs)}
                <br />
                <span class="soft">{names.join(', ')}</span>
              </dd>
            </div>
          ))}
          <div>
            <dt>last backup of the keys</dt>
            <dd class={authority.backupTs === undefined ? 'bad' : ''}>
              {authority.backupTs === undefined ? 'none yet' : formatTime(authority.backupTs)}
            </dd>
          </div>
          <div>
            <dt>tokens of boards, open</dt>
            <dd>{formatNumber(openTokens)}</dd>
          </div>
          <div>
            <dt>security log</dt>
            <dd>
              <code>{log.folder}</code>
            </dd>
          </div>
        </dl>
      </div>
      <h3>Refused since the gateway was started</h3>
      <div class="panel spaced-after">
        {refused.length === 0 ? (
          <p class="empty">Nobody was.</p>
        ) : (
          <table class="wide">
            <thead>
              <tr>
                <th scope="col">last time</th>
                <th scope="col">what</th>
                <th scope="col">who</th>
                <th scope="col">from</th>
                <th scope="col" class="number">
                  times
                </th>
              </tr>
            </thead>
            <tbody>
              {refused.map(({ ts, event, who, source, code, count }) => (
                <tr key={`${event} ${who} ${source} ${code}`}>
                  <td>{formatTime(ts)}</td>
                  <td>
                    {event.replaceAll('-', ' ')} {code !== undefined && <code>{code}</code>}
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
