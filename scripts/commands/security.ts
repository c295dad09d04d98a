/** The commands for who is let in, on the command line. */
import type { Command } from 'commander'
import type { Streams } from './streams.ts'

export function addSecurityCommands(
  program: Command,
  streams: Streams,
  done: (code: number) => void,
): void {
  const security = program
    .command('security')
    .description('look at who was let in, and who was not')
  security
    .command('log')
    .description('print the security log of the gateway on this machine, or verify it')
    .option(
      '--data <directory>',
      'data directory of the gateway (default /var/lib/obelisk-gateway)',
    )
    .option('--event <name>', 'only lines of this event')
    .option('--since <time>', 'only lines from then on: 2026-11-29T10:00:00Z, or 90m, 12h, 7d ago')
    .option('--verify', 'say whether anything was changed, taken out or added, instead of lines')
    .option('--head <seq:hash>', 'a head that was kept elsewhere, to verify the end as well')
    .option('--json', 'print JSON')
    .action(async (flags) => {
      const { showSecurityLog } = await import('./security-log.ts')
      done(await showSecurityLog(flags, streams, Date.now()))
    })
}
