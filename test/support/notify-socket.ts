/**
 * A stand-in for the socket that systemd hears its services on. Node has no datagram sockets of the local
 * kind, so a few lines of Perl, which every Debian has, receive for it, and connect as `OpenFile=` does.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { eventually, type Fleet, type Run } from './processes.ts'

const RECEIVER = `
use Socket; $| = 1;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un($ARGV[0])) or die;
print STDERR "ready\\n";
while (defined recv($s, my $text, 65536, 0)) { $text =~ s/\\n/ | /g; print "$text\\n" }
`

/** Connects descriptor 3 to the socket, names itself as systemd would, and becomes the program. */
const CONNECTOR = `
use Socket; use POSIX qw(dup2); $^F = 3;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; connect($s, sockaddr_un(shift @ARGV)) or die;
dup2(fileno($s), 3) == 3 or die;
@ENV{qw(LISTEN_PID LISTEN_FDS LISTEN_FDNAMES)} = ($$, 1, 'notify');
$ENV{WATCHDOG_PID} = $$ if defined $ENV{WATCHDOG_USEC};
exec @ARGV or die;
`

/** Why there can be none here, if so. */
export function noNotifySocket(): string | undefined {
  const { status } = spawnSync('perl', ['-MSocket', '-MPOSIX', '-e', '1'])
  return status === 0 ? undefined : 'needs perl (Debian package perl-base)'
}

export class NotifySocket {
  readonly path: string
  readonly #receiver: Run

  private constructor(path: string, receiver: Run) {
    this.path = path
    this.#receiver = receiver
  }

  static async open(fleet: Fleet, name = 'notify'): Promise<NotifySocket> {
    const path = join(fleet.directory, name)
    const receiver = fleet.command('perl', ['-e', RECEIVER, path])
    await receiver.line('ready')
    return new NotifySocket(path, receiver)
  }

  /** The words that start `command` with a connected socket. */
  connected(command: readonly string[]): [program: string, argv: string[]] {
    return ['perl', ['-e', CONNECTOR, this.path, ...command]]
  }

  /** What came so far, one datagram each, its lines joined by " | ". */
  get datagrams(): string[] {
    return this.#receiver.stdout.split('\n').slice(0, -1)
  }

  async heard(text: string): Promise<string> {
    const look = (): string | undefined => this.datagrams.find((one) => one.includes(text))
    return await eventually(`systemd hears "${text}"`, look)
  }
}
