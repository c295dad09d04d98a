/** `obelisk doctor`: looks, judges, prints. */
import { existsSync } from 'node:fs'
import { EXIT_DONE, EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { examine } from '../doctor/collect-facts.ts'
import type { Finding, Level } from '../doctor/finding.ts'
import { judge } from '../doctor/findings.ts'
import { usage } from '../fault.ts'
import { isRole, placesOf } from '../install/places.ts'
import { SystemPrograms } from '../install/system-programs.ts'
import { ROLES, type Role } from '../package/architectures.ts'
import type { Flags } from './command-place.ts'
import { type Colour, paint, printable, type Streams } from './streams.ts'

export type DoctorFlags = Flags<'role' | 'config' | 'url' | 'http', 'json'>

const TIMEOUT_MS = 5000
const COLOURS: Readonly<Record<Level, Colour>> = { ok: 'green', warn: 'yellow', fail: 'red' }

export async function doctor(flags: DoctorFlags, streams: Streams): Promise<number> {
  const roles = rolesOf(flags.role)
  const programs = new SystemPrograms(streams.environment)
  let hasFailed = false
  const reports: { role: Role; findings: Finding[] }[] = []
  for (const role of roles) {
    const { config, url, http } = flags
    const asked = { config, url, http, environment: streams.environment }
    const facts = await examine({ role, ...asked, timeoutMs: TIMEOUT_MS }, programs)
    const findings = judge(facts)
    hasFailed ||= findings.some(({ level }) => level === 'fail')
    reports.push({ role, findings })
  }
  if (flags.json) streams.stdout.write(`${JSON.stringify(reports)}\n`)
  else for (const { role, findings } of reports) print(role, findings, streams)
  return hasFailed ? EXIT_FAILED : EXIT_DONE
}

/** What is installed here, else the agent. */
function rolesOf(role: string | undefined): readonly Role[] {
  if (role !== undefined && !isRole(role)) throw usage(`--role: say which, ${ROLES.join(' or ')}`)
  if (role !== undefined) return [role]
  const installed = ROLES.filter((one) => existsSync(placesOf(one).tree))
  return installed.length > 0 ? installed : ['agent']
}

function print(role: Role, findings: readonly Finding[], streams: Streams): void {
  streams.stdout.write(`${role}\n`)
  for (const { check, level, message, fix } of findings) {
    const label = paint(streams, COLOURS[level], level.padEnd(4))
    streams.stdout.write(`  ${label}  ${check}: ${printable(message)}\n`)
    if (fix !== undefined) streams.stdout.write(`        ${printable(fix)}\n`)
  }
}
