/** The commands of a board's life on the command line: made, installed, examined, removed. */
import type { Command } from 'commander'
import { type Asked, type CommandGroup, later } from './command-place.ts'
import { HTTP_DEFAULT } from './gateway-at-hand.ts'
import type { InstallFlags } from './install.ts'

export function addBoardCommands(obelisk: CommandGroup): void {
  addInstall(obelisk)
  addUninstall(obelisk)
  addDoctor(obelisk)
  addImage(obelisk)
}

function addInstall(obelisk: CommandGroup): void {
  withPlace(obelisk.does('install', install))
    .description('install the agent or the gateway as a service of this machine, or upgrade it')
    .usage('--role agent|gateway [options] [options of that program]')
    .option('--from <tree>', 'an unpacked package; without it, what is installed already')
    .option('--id <id>', 'the name of the node in the fleet')
    .option('--gateway <url>', 'where the gateway is: mqtts://host:8883')
    .option('--token-file <file>', 'the token for a first identity, "-" reads it from stdin')
    .option('--staged', 'what the gateway has sent, as the unit of an agent has it installed')
    .option('--enable', 'also where somebody has disabled the unit')
    .option('--packaged', 'the files are those of a Debian package')
    .option('--no-start', 'enable it only: it starts with the next boot')
    .option('--release-key <file>', 'the public key that the package must be signed by')
    .option('--start-timeout <seconds>', 'how long it may take to start (default 60)')
    .option('--steady <seconds>', 'how long it has to run then (default 10)')
    .option('--join-timeout <seconds>', 'how long an upgraded agent may take to join (default 90)')
    .allowUnknownOption()
    .allowExcessArguments()
}

type Flagged = InstallFlags & { readonly staged?: boolean }

async function install({ flags, words, streams }: Asked<Flagged>): Promise<number> {
  if (flags.staged === true) {
    const { installStaged } = await import('./install-staged.ts')
    return await installStaged(flags, streams)
  }
  const install = await import('./install.ts')
  return await install.install(flags, words, streams)
}

function addUninstall(obelisk: CommandGroup): void {
  withPlace(
    obelisk.does(
      'uninstall',
      later(async () => (await import('./install.ts')).uninstall),
    ),
  )
    .description('stop and remove the agent or the gateway; data and configuration stay')
    .option('--purge', 'remove data and configuration too')
}

function withPlace(command: Command): Command {
  return command
    .option('--role <role>', 'agent or gateway')
    .option('--root <directory>', 'put everything under another root, without systemctl')
    .option('--dry-run', 'say what would be done, and do nothing')
}

function addDoctor(obelisk: CommandGroup): void {
  obelisk
    .does(
      'doctor',
      later(async () => (await import('./doctor.ts')).doctor),
    )
    .description('examine this machine, and say how to mend what is wrong')
    .option('--role <role>', 'agent or gateway (default: what is installed)')
    .option(
      '--config <file>',
      'the configuration that the program is started with (OBELISK_CONFIG)',
    )
    .option('--url <url>', 'the gateway that the agent is started with (OBELISK_URL)')
    .option(
      '--http <url>',
      `the gateway's HTTP address (OBELISK_HTTP; default: that of its configuration, ${HTTP_DEFAULT})`,
    )
    .option('--json', 'print JSON')
}

function addImage(obelisk: CommandGroup): void {
  const image = obelisk.group('image', 'make cards that boot into nodes of the fleet')
  withBoard(
    image.does(
      'flash',
      later(async () => (await import('./image.ts')).flashCard),
    ),
  )
    .description('write the image of a system with the agent on it to a card, or to a file')
    .option('--image <file>', 'the image of the system: .img or .img.xz')
    .option('--sha256 <digest>', 'of the image; another one is refused')
    .option('--package <file>', "the agent's tarball (default: the one in packages/)")
    .option('--node <file>', 'an archive of Node, for an image that has none')
    .option('--wifi <ssid>', 'the Wi-Fi that the board joins')
    .option('--wifi-password-file <file>', 'its password; without it the network is open')
    .option('--country <code>', 'where the board is, for the Wi-Fi: DE')
    .option('--device <disk>', 'the card to overwrite: /dev/sdX')
    .option('--output <file>', 'write an image instead')
    .option('--yes', 'do not ask before a card or a file is overwritten')
  withBoard(
    image.does(
      'user-data',
      later(async () => (await import('./image.ts')).printCloudConfig),
    ),
  )
    .description('print cloud-init user-data, for a card that the Raspberry Pi Imager writes')
    .option('--package <place>', "the agent's tarball: a URL, or a name on the boot partition")
    .option('--sha256 <digest>', 'of the tarball')
    .option('--node <place>', 'an archive of Node, likewise')
}

function withBoard(command: Command): Command {
  return command
    .option('--id <id>', 'the name of the node in the fleet')
    .option('--gateway <url>', 'where the gateway is: mqtts://host:8883')
    .option('--token-file <file>', 'the token for its identity, "-" reads it from stdin')
    .option('--hostname <name>', 'the name of the machine (default: made from the id)')
    .option('--ssh-key <file>', "a public key that may log in as the board's first user")
}
