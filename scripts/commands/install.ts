/** `obelisk install` and `obelisk uninstall`: looks, plans, and performs the plan or prints it. */
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { AppError, EXIT_DONE, EXIT_NO_ROOM, messageOf } from '../../shared/runtime/errors.ts'
import { tidied } from '../../shared/runtime/tidied.ts'
import { fault, usage } from '../fault.ts'
import { checkFrom, collectFacts, type Facts } from '../install/collect-facts.ts'
import { Performer } from '../install/perform.ts'
import { isRole, placesOf, under } from '../install/places.ts'
import {
  type InstallWishes,
  isResting,
  planGoingBack,
  planInstall,
  wayBackOf,
} from '../install/plan.ts'
import { planUninstall } from '../install/plan-uninstall.ts'
import { READINESS_LIMITS } from '../install/readiness.ts'
import { readSettings } from '../install/settings.ts'
import { describe, type Step } from '../install/steps.ts'
import { SystemPrograms } from '../install/system-programs.ts'
import { isSound } from '../install/tree.ts'
import { PrivateCopy } from '../install/tree-copy.ts'
import { isAt } from '../install/wanted.ts'
import { ROLES, type Role } from '../package/architectures.ts'
import type { Flags } from './command-place.ts'
import type { Streams } from './streams.ts'
import { parseSeconds } from './task-request.ts'

type CommonFlags = Flags<'role' | 'root', 'dryRun'>

export type InstallFlags = CommonFlags &
  Flags<
    | 'from'
    | 'releaseKey'
    | 'id'
    | 'gateway'
    | 'tokenFile'
    | 'startTimeout'
    | 'steady'
    | 'joinTimeout',
    'packaged' | 'enable' | 'start'
  >

export type UninstallFlags = CommonFlags & Flags<never, 'purge'>

type PlaceFlags = Flags<never, 'dryRun' | 'packaged'>

export async function install(
  flags: InstallFlags,
  others: readonly string[],
  streams: Streams,
): Promise<number> {
  const { role, root } = target(flags)
  const configuration = under(root, placesOf(role).configuration)
  const settings = await readSettings(role, { ...flags, others }, configuration, streams.stdin)
  const limits = limitsOf(flags)
  const isLive = checkPlace(root, flags)
  const { from, releaseKey } = flags
  if (from !== undefined) checkFrom(from)
  const programs = new SystemPrograms(streams.environment)
  const copy = from === undefined ? undefined : await PrivateCopy.of(from, programs)
  return await tidied(
    () => copy?.remove(),
    async () => {
      const facts = await collectFacts({ role, root, isLive, copy, releaseKey }, programs)
      const wishes: InstallWishes = {
        role,
        settings,
        isPackaged: flags.packaged === true,
        isToStart: flags.start !== false,
        isToEnable: flags.enable === true,
      }
      const performer = new Performer({ root, limits }, programs, sayTo(streams))
      return await carryOut({ facts, wishes, performer }, flags.dryRun === true, streams)
    },
  )
}

interface Work {
  readonly facts: Facts
  readonly wishes: InstallWishes
  readonly performer: Performer
}

async function carryOut(work: Work, isDry: boolean, streams: Streams): Promise<number> {
  const { facts, wishes } = work
  const { role } = wishes
  const { tree, unit } = placesOf(role)
  const steps = planInstall(facts, wishes)
  if (facts.isOwnedByDpkg && !isSound(facts.tree)) {
    const problems = facts.tree?.problems.join('; ') ?? 'it is missing'
    streams.stderr.write(`warning: ${tree} is not as packaged: ${problems}\n`)
  }
  if (steps.length === 0) {
    streams.stdout.write(`nothing to do: the ${role} is installed as wished\n`)
  } else if (isDry) return printPlan(steps, facts.root, streams)
  else {
    await performOrGoBack(work, steps, streams)
    streams.stdout.write(`the ${role} is installed\n`)
  }
  if (isResting(facts, wishes)) streams.stdout.write(`${restingText(facts, unit)}\n`)
  return EXIT_DONE
}

function restingText({ isMasked }: Facts, unit: string): string {
  if (isMasked) return `${unit} is masked, and stays so: sudo systemctl unmask ${unit}`
  return `${unit} is disabled, and stays so: sudo systemctl enable --now ${unit}`
}

/** Each step is a whole change, and a second run plans only what is missing. */
function withWayOn(error: unknown): unknown {
  if (!(error instanceof AppError) || error.exitCode !== EXIT_NO_ROOM) return error
  const message = `${error.message}: what was put in place before stays, each part whole; make room, and the same command goes on`
  return new AppError(error.code, message, { cause: error, exitCode: error.exitCode })
}

async function performOrGoBack(
  { facts, wishes, performer }: Work,
  steps: readonly Step[],
  streams: Streams,
): Promise<void> {
  try {
    await performer.perform(steps)
  } catch (error) {
    const previous = under(facts.root, placesOf(wishes.role).previous)
    if (wayBackOf(facts, wishes) === undefined || !existsSync(previous)) throw withWayOn(error)
    streams.stderr.write(`${messageOf(error)}\ngoing back to the version before\n`)
    await performer.perform(planGoingBack(facts, wishes)).catch((failure) => {
      throw withWayOn(failure)
    })
    const message = `the new version did not become ready, and the one before runs again: ${messageOf(error)}`
    throw fault('went-back', message, error)
  }
}

export async function uninstall(flags: UninstallFlags, streams: Streams): Promise<number> {
  const { role, root } = target(flags)
  const isLive = checkPlace(root, flags)
  const programs = new SystemPrograms(streams.environment)
  const facts = await collectFacts({ role, root, isLive }, programs)
  const steps = planUninstall(facts, { role, isPurge: flags.purge === true })
  if (steps.length === 0) {
    streams.stdout.write(`nothing to do: the ${role} is not installed\n`)
    return EXIT_DONE
  }
  if (flags.dryRun) return printPlan(steps, root, streams)
  await new Performer({ root, limits: READINESS_LIMITS }, programs, sayTo(streams)).perform(steps)
  if (!flags.purge) sayWhatStays(facts, role, streams)
  return EXIT_DONE
}

function sayTo({ stdout }: Streams): (line: string) => void {
  return (line) => void stdout.write(`${line}\n`)
}

function sayWhatStays(facts: Facts, role: Role, streams: Streams): void {
  const { root } = facts
  const kept = placesOf(role).kept.filter((path) => isAt(facts, path))
  if (kept.length === 0) return
  const paths = kept.map((path) => under(root, path)).join(' ')
  streams.stdout.write(`kept (--purge removes it): ${paths}\n`)
}

function printPlan(steps: readonly Step[], root: string, streams: Streams): number {
  for (const step of steps) streams.stdout.write(`would ${describe(step, root)}\n`)
  return EXIT_DONE
}

function target({ role, root = '/' }: CommonFlags): { role: Role; root: string } {
  if (!isRole(role)) throw usage(`--role: say which, ${ROLES.join(' or ')}`)
  const isDirectory = statSync(root, { throwIfNoEntry: false })?.isDirectory()
  if (isDirectory === undefined) throw usage(`--root: ${root} is not there`)
  if (!isDirectory) throw usage(`--root: ${root} is no directory`)
  return { role, root: resolve(root) }
}

/**
 * Another root needs neither rights nor systemd; this one needs both, but for a package that is put into
 * an image, where nothing runs. Says whether there is a systemd to talk to.
 */
function checkPlace(root: string, { dryRun, packaged }: PlaceFlags): boolean {
  if (root !== '/') return false
  const isLive = existsSync('/run/systemd/system')
  if (!isLive && !packaged) {
    const message = 'systemd does not run here; --root <dir> puts everything under another root'
    throw fault('unsuitable', message)
  }
  if (process.getuid!() !== 0 && !dryRun) {
    const message = 'only root may do that: sudo obelisk …'
    throw fault('not-permitted', message)
  }
  return isLive
}

function limitsOf({ startTimeout, steady, joinTimeout }: InstallFlags) {
  const ms = (text: string | undefined, flag: string, otherwise: number): number =>
    text === undefined ? otherwise : parseSeconds(text, flag) * 1000
  return {
    startMs: ms(startTimeout, '--start-timeout', READINESS_LIMITS.startMs),
    steadyMs: ms(steady, '--steady', READINESS_LIMITS.steadyMs),
    joinMs: ms(joinTimeout, '--join-timeout', READINESS_LIMITS.joinMs),
  }
}
