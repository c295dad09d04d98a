/**
 * What the doctor makes of what it saw: one finding a check, with the command that mends it. Pure, so that
 * every case can be tried without the board that has it.
 */
import {
  EXIT_BAD_INPUT,
  EXIT_CONFIG,
  EXIT_LEFT,
  EXIT_NOT_ALLOWED,
} from '../../shared/runtime/errors.ts'
import { isNewEnough, placesOf, SYSTEMD_LEAST } from '../install/places.ts'
import type { DoctorFacts } from './collect-facts.ts'
import { AS_ROOT, type Finding, fail, installCommand, ok, warn } from './finding.ts'
import { fleetFindings, gatewayFinding, nameFinding } from './gateway-finding.ts'
import { securityFindings } from './security-findings.ts'

const MIB = 1024 * 1024
const DISK_FAIL_BYTES = 32 * MIB
const DISK_WARN_BYTES = 256 * MIB
/** No board of ours was built before; a clock that starts at 1970 or at its firmware's date is caught. */
const YEAR_MIN = 2025
const YEAR_MAX = 2100
const OFFSET_WARN_MS = 2000
/** On which LMDB's memory map, or a rename that survives a power cut, cannot be relied on. */
const POOR_FILE_SYSTEMS = ['vfat', 'exfat', 'nfs', 'cifs', 'overlay', 'tmpfs', 'ntfs']

export function judge(facts: DoctorFacts): Finding[] {
  return [
    ...unseenFindings(facts),
    nodeFinding(facts),
    architectureFinding(facts),
    ...treeFinding(facts),
    systemdFinding(facts),
    ...memoryFinding(facts),
    clockFinding(facts),
    diskFinding(facts),
    ...fileFindings(facts),
    configurationFinding(facts),
    unitFinding(facts),
    ...securityFindings(facts),
    gatewayFinding(facts),
    ...fleetFindings(facts),
    ...nameFinding(facts),
  ]
}

function hiddenPaths({ unseen }: DoctorFacts): string[] {
  return unseen.filter(({ fault }) => fault.exitCode === EXIT_NOT_ALLOWED).map(({ path }) => path)
}

/** What only root may look at is no trouble: it is not known. */
function unseenFindings(facts: DoctorFacts): Finding[] {
  const hidden = hiddenPaths(facts)
  const findings = facts.unseen
    .filter(({ path }) => !hidden.includes(path))
    .map(({ path, fault }) => {
      const isDamaged = fault.exitCode === EXIT_BAD_INPUT
      const again = installCommand(facts.role)
      return fail('files', fault.message, isDamaged ? again : `ls -ld ${path}`)
    })
  if (hidden.length === 0) return findings
  const message = `not known, as only root may look: ${hidden.join(', ')}`
  return [...findings, warn('rights', message, AS_ROOT)]
}

function nodeFinding({ node, nodeRange, armVersion }: DoctorFacts): Finding {
  const fix =
    armVersion === 6
      ? 'unpack node-v20…-linux-armv6l.tar.xz of unofficial-builds.nodejs.org into /usr/lib/obelisk-node'
      : 'sudo apt install nodejs'
  if (node === undefined) return fail('node', 'there is no Node', fix)
  const { path, version } = node
  if (version === undefined) return fail('node', `${path} does not run`, fix)
  if (!isNewEnough(version, nodeRange)) {
    return fail('node', `${path} is ${version}, and ${nodeRange} is needed`, fix)
  }
  return ok('node', `${path} is ${version}`)
}

function architectureFinding(facts: DoctorFacts): Finding {
  const { architecture, treeArchitecture, armVersion, role } = facts
  const arm = armVersion === undefined ? '' : ` (ARMv${armVersion})`
  if (treeArchitecture !== undefined && treeArchitecture !== architecture) {
    const fix = `install the package obelisk-${role} for ${architecture}`
    return fail(
      'architecture',
      `the program is for ${treeArchitecture}, this is ${architecture}`,
      fix,
    )
  }
  const known = role === 'agent' ? ['amd64', 'arm64', 'armhf'] : ['amd64', 'arm64']
  if (known.includes(architecture)) return ok('architecture', `${architecture}${arm}`)
  return fail(
    'architecture',
    `there is no ${role} for ${architecture}`,
    `use one of ${known.join(', ')}`,
  )
}

function treeFinding({ treeProblems, role }: DoctorFacts): Finding[] {
  if (treeProblems.length === 0) return []
  const fix = installCommand(role)
  return [fail('files', `not as packaged: ${treeProblems.slice(0, 3).join('; ')}`, fix)]
}

function systemdFinding({ systemd, role }: DoctorFacts): Finding {
  const { version, isRunning } = systemd
  if (!isRunning) {
    const fix = `run the program by hand: obelisk ${role} --help`
    return fail('systemd', 'systemd does not run here', fix)
  }
  if (version === undefined) {
    return warn('systemd', 'its version is not known', 'systemctl --version')
  }
  if (version >= SYSTEMD_LEAST) return ok('systemd', `version ${version}`)
  const needed = `${SYSTEMD_LEAST} or newer is needed`
  return fail('systemd', `version ${version} is too old: ${needed}`, 'sudo apt full-upgrade')
}

/** Only the agent has a bound that the kernel must keep. */
function memoryFinding({ cgroup, role }: DoctorFacts): Finding[] {
  if (role !== 'agent') return []
  const { version, hasMemory, isDisabledByKernel, commandLineFile } = cgroup
  if (hasMemory) return [ok('memory cgroup', `on (cgroup v${version})`)]
  const fix =
    commandLineFile === undefined
      ? 'add cgroup_enable=memory to the kernel command line, and reboot'
      : `sudo sed -i '1s/$/ cgroup_enable=memory/' ${commandLineFile} && sudo reboot`
  const why = isDisabledByKernel ? ' (the kernel was started with cgroup_disable=memory)' : ''
  return [warn('memory cgroup', `off${why}: MemoryMax= of the unit does nothing`, fix)]
}

function clockFinding({ clock }: DoctorFacts): Finding {
  const { nowMs, isSynchronised, offsetMs } = clock
  const year = new Date(nowMs).getUTCFullYear()
  const fix = 'sudo timedatectl set-ntp true'
  if (year < YEAR_MIN || year > YEAR_MAX) return fail('clock', `the year is ${year}`, fix)
  if (offsetMs !== undefined && Math.abs(offsetMs) > OFFSET_WARN_MS) {
    return warn('clock', `${Math.round(offsetMs / 1000)} s away from the gateway's`, fix)
  }
  if (isSynchronised === false) return warn('clock', 'not synchronised', fix)
  const offset = offsetMs === undefined ? '' : `, ${Math.round(offsetMs)} ms from the gateway's`
  return ok('clock', `${isSynchronised === undefined ? 'plausible' : 'synchronised'}${offset}`)
}

function diskFinding({ disk }: DoctorFacts): Finding {
  if (disk === undefined) return warn('disk', 'there is no data directory yet', 'obelisk install')
  const { path, freeBytes, isReadOnly, fileSystem } = disk
  if (isReadOnly) {
    const fix = 'sudo dmesg | grep -i -E "mmc|ext4|error"   # a card that fails goes read-only'
    return fail('disk', `${path} is read-only`, fix)
  }
  const free = `${Math.floor(freeBytes / MIB)} MiB free at ${path}`
  if (freeBytes < DISK_FAIL_BYTES) return fail('disk', free, 'sudo apt clean; df -h')
  if (freeBytes < DISK_WARN_BYTES) return warn('disk', free, 'sudo apt clean; df -h')
  if (POOR_FILE_SYSTEMS.includes(fileSystem)) {
    return warn(
      'disk',
      `${path} is on ${fileSystem}, which does not keep data over a power cut`,
      'put the data on ext4',
    )
  }
  return ok('disk', `${free}, ${fileSystem}`)
}

function fileFindings(facts: DoctorFacts): Finding[] {
  const { files } = facts
  const hidden = hiddenPaths(facts)
  const problems = files.flatMap((file): Finding[] => {
    const { path, mode } = file
    if (mode === undefined) return []
    if (file.isSecret && (mode & 0o077) !== 0) {
      return [fail('permissions', `others may read ${path}`, `sudo chmod 600 ${path}`)]
    }
    if ((mode & 0o022) !== 0) {
      return [fail('permissions', `others may write ${path}`, `sudo chmod go-w ${path}`)]
    }
    if (file.isRequired && (mode & 0o004) === 0) {
      return [fail('permissions', `the unit may not read ${path}`, `sudo chmod 644 ${path}`)]
    }
    if (!file.isRootOwned) {
      return [warn('permissions', `${path} does not belong to root`, `sudo chown root: ${path}`)]
    }
    return []
  })
  if (problems.length > 0) return problems
  const seen = files.filter(({ path }) => !hidden.includes(path))
  const what = seen.length === files.length ? 'configuration and token' : 'what may be looked at'
  return [ok('permissions', `of ${what} are as they should be`)]
}

function configurationFinding(facts: DoctorFacts): Finding {
  const { configurationProblems, configurationFile } = facts
  if (hiddenPaths(facts).includes(configurationFile)) {
    return warn('configuration', 'not known, as only root may read it', AS_ROOT)
  }
  if (configurationProblems.length === 0) return ok('configuration', 'sound')
  const fix = `sudo editor ${configurationFile}`
  return fail('configuration', configurationProblems.join('; '), fix)
}

function unitFinding({ unit, role }: DoctorFacts): Finding {
  const name = placesOf(role).unit
  if (unit === undefined || !unit.isLoaded) {
    return fail('unit', `${name} is not installed`, installCommand(role))
  }
  const { activeState, exitStatus, statusText, isEnabled } = unit
  const log = `journalctl -u ${name} -n 20`
  const isRefused = statusText.startsWith('refused: ')
  const anew = 'on the gateway: obelisk token create <id> --replace'
  if (activeState === 'active') {
    if (!isEnabled) {
      const message = `${name} runs, and does not start at boot`
      return warn('unit', message, `sudo systemctl enable ${name}`)
    }
    if (!isRefused) return ok('unit', `${name} runs${statusText === '' ? '' : `: ${statusText}`}`)
    const message = `${name} runs, and the gateway does not take it (${statusText})`
    return fail('unit', message, `${anew}; here: sudo obelisk agent enroll --again`)
  }
  if (isRefused) {
    const message = `${name}: the gateway gave it no identity (${statusText})`
    return fail('unit', message, `${log}; ${anew}`)
  }
  switch (exitStatus) {
    case EXIT_CONFIG: {
      const fix = `${log}; sudo editor ${placesOf(role).configuration}`
      return fail('unit', `${name}: its configuration is wrong`, fix)
    }
    case EXIT_NOT_ALLOWED: {
      const message = `${name}: the gateway does not take it: its id is taken by another node`
      const fix = `obelisk node ls   # then sudo obelisk install --role ${role} --id <another>`
      return fail('unit', message, fix)
    }
    case EXIT_LEFT: {
      const fix = `obelisk node drain <id> --undo; sudo systemctl start ${name}`
      return warn('unit', `${name}: it was drained and has left`, fix)
    }
  }
  if (activeState === 'inactive') {
    return fail('unit', `${name} does not run`, `sudo systemctl start ${name}`)
  }
  return fail('unit', `${name} is ${activeState}: it ended with ${exitStatus}`, log)
}
