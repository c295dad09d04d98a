/**
 * What goes onto the boot partition besides the packages: files for the network, and the settings that the
 * first boot reads. Pure: texts from wishes.
 */

export interface Wifi {
  readonly ssid: string
  /** Absent for an open network. */
  readonly password: string | undefined
  /** ISO 3166, two capital letters. */
  readonly country: string
}

/** NetworkManager's key file (nm-settings-keyfile(5)). */
export function connectionFile({ ssid, password }: Wifi, uuid: string): string {
  const security =
    password === undefined ? '' : `\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=${escaped(password)}\n`
  return `[connection]
id=obelisk
uuid=${uuid}
type=wifi
autoconnect=true

[wifi]
mode=infrastructure
ssid=${ssidBytes(ssid)}
${security}
[ipv4]
method=auto

[ipv6]
method=auto
`
}

/** For images that have no NetworkManager (wpa_supplicant.conf(5)). */
export function supplicantFile({ ssid, password, country }: Wifi): string {
  const key = password === undefined ? 'key_mgmt=NONE' : `psk=${supplicantKey(password)}`
  const name = Buffer.from(ssid).toString('hex')
  return `ctrl_interface=DIR=/var/run/wpa_supplicant GROUP=netdev
update_config=1
country=${country}

network={
  ssid=${name}
  ${key}
}
`
}

/** 64 hexadecimal digits are the key itself; anything else is a passphrase, in quotes to the last one. */
function supplicantKey(password: string): string {
  return /^[0-9a-fA-F]{64}$/.test(password) ? password : `"${password}"`
}

/** As bytes with semicolons, which every name can be written in. */
function ssidBytes(ssid: string): string {
  return /^[\w-]+$/.test(ssid) ? ssid : `${[...Buffer.from(ssid)].join(';')};`
}

/** GKeyFile: a backslash begins an escape, and white space at the start would be lost. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replace(/^ /, '\\s')
}

export interface FirstBoot {
  readonly hostname: string | undefined
  /** Words of `obelisk install`. */
  readonly installArguments: readonly string[]
}

/** Read by first-boot.sh with `.`; each value is quoted for it. */
export function firstBootSettings({ hostname, installArguments }: FirstBoot): string {
  return `# Settings of first-boot.sh.
BOARD_HOSTNAME=${quoted(hostname ?? '')}
set -- ${installArguments.map(quoted).join(' ')}
`
}

/** In a shell's single quotes. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** A host name that an id can be: RFC 1123, or nothing. */
export function hostnameOf(id: string): string | undefined {
  const name = id
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '')
  return isHostname(name) ? name : undefined
}

export function isHostname(name: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(name)
}

/** What is wrong with the Wi-Fi that was asked for (IEEE 802.11: 1 to 32 bytes; WPA: 8 to 63). */
export function wifiProblems({ ssid, password, country }: Wifi): string[] {
  const problems: string[] = []
  const bytes = Buffer.byteLength(ssid)
  if (bytes < 1 || bytes > 32 || /\p{Cc}/u.test(ssid)) {
    problems.push(`--wifi: "${ssid}" is not a name of 1 to 32 bytes`)
  }
  if (password !== undefined && !/^(?:[\x20-\x7e]{8,63}|[0-9a-fA-F]{64})$/.test(password)) {
    problems.push(
      '--wifi-password-file: not 8 to 63 printable characters, nor 64 hexadecimal digits',
    )
  }
  if (!/^[A-Z]{2}$/.test(country)) {
    problems.push(`--country: "${country}" is not two capital letters, like DE`)
  }
  return problems
}
