/** The commands for who is let in, on the command line. */
import { type CommandGroup, later } from './command-place.ts'

export function addSecurityCommands(obelisk: CommandGroup): void {
  const security = obelisk.group('security', 'look at who was let in, and who was not')
  security
    .asks('status', async (asked) => {
      const { showSecurityStatus } = await import('./security-status.ts')
      return await showSecurityStatus(asked)
    })
    .description('show whether a gateway is secured, and how it stands with who may come in')
  security
    .does(
      'log',
      later(async () => (await import('./security-log.ts')).showSecurityLog),
    )
    .description('print the security log of the gateway on this machine, or verify it')
    .option(
      '--data <directory>',
      'data directory of the gateway (default: that of its service here, else ./obelisk-gateway)',
    )
    .option('--event <name>', 'only lines of this event')
    .option('--since <time>', 'only lines from then on: 2026-11-29T10:00:00Z, or 90m, 12h, 7d ago')
    .option('--verify', 'say whether anything was changed, taken out or added, instead of lines')
    .option('--head <seq:hash>', 'a head that was kept elsewhere, to verify the end as well')
    .option('--json', 'print JSON')
}
