/**
 * The kernel's command line on a boot partition: one line of words, some with spaces in double quotes.
 * What we add is added once, however often, and everything else stays in its order. Pure.
 */

/**
 * The script is looked for in both places that the boot partition may be at, Bookworm's and the older
 * one, for a minute: nobody says that it is mounted already. It ends with 0 once these words are off the
 * command line. Otherwise the system is started as it is, since a reboot would only lead here again.
 * In the words of systemd `$$` is a `$`.
 */
const BEGIN = [
  'n=60; until cd /boot/firmware/obelisk || cd /boot/obelisk || [ $$n = 0 ];',
  'do n=$$((n-1)); sleep 1; done; /bin/sh ./first-boot.sh && exit;',
  'systemctl --no-block start multi-user.target; exit 1',
].join(' ')

/** Words of systemd-run-generator(8). */
export const FIRST_BOOT_WORDS: readonly string[] = [
  `systemd.run="/bin/sh -c '${BEGIN}'"`,
  'systemd.run_success_action=reboot',
  'systemd.run_failure_action=none',
  'systemd.unit=kernel-command-line.target',
]

/** Of what FIRST_BOOT_WORDS set, so that words of an earlier run are replaced. */
const FIRST_BOOT_KEYS = FIRST_BOOT_WORDS.map((word) => word.split('=')[0]!)

const MEMORY_CGROUP = 'cgroup_enable=memory'

export interface CommandLineWishes {
  readonly isFirstBoot: boolean
  /** ISO 3166: the Wi-Fi is off until the kernel knows what is allowed. */
  readonly country?: string | undefined
}

/** The line with what is wished, and a newline at its end. */
export function editCommandLine(line: string, wishes: CommandLineWishes): string {
  const added = [MEMORY_CGROUP]
  const { country, isFirstBoot } = wishes
  if (country !== undefined) added.push(`cfg80211.ieee80211_regdom=${country}`)
  if (isFirstBoot) added.push(...FIRST_BOOT_WORDS)
  const dropped = [...FIRST_BOOT_KEYS, ...(country ? ['cfg80211.ieee80211_regdom'] : [])]
  const kept = wordsOf(line).filter(
    (word, index, words) =>
      // It would turn off what is needed; ours comes later and would win, but not on every kernel.
      word !== 'cgroup_disable=memory' &&
      !dropped.includes(word.split('=')[0]!) &&
      !(added.includes(word) || (word === MEMORY_CGROUP && words.indexOf(word) !== index)),
  )
  return `${[...kept, ...added].join(' ')}\n`
}

/** Splits at white space outside of double quotes, as the kernel does. */
export function wordsOf(line: string): string[] {
  return line.match(/(?:"[^"]*"|[^\s"])+/g) ?? []
}
