/** The commands for who is let in, on the command line. */
import type { CommandPlace } from './command-place.ts'

export function addSecurityCommands(place: CommandPlace): void {
  const { program, withHttp, asks, later } = place
  const security = program
    .command('security')
    .description('look at who was let in, and who was not')
  withHttp(security.command('status'))
    .description('show whether a gateway is secured, and how it stands with who may come in')
    .action(
      asks(async (asked) => {
        const { showSecurityStatus } = await import('./security-status.ts')
        return await showSecurityStatus(asked)
      }),
    )
  security
    .command('log')
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
    .action(later(async () => (await import('./security-log.ts')).showSecurityLog))
}
