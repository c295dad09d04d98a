/** `obelisk image flash` and `obelisk image user-data`. */
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import { type BoardFlags, readBoardWishes, type TokenSources } from '../image/board-wishes.ts'
import { cloudConfig } from '../image/cloud-config.ts'
import { type FlashTarget, flash } from '../image/flash.ts'
import { outputFile } from '../image/output-file.ts'
import { UNUSABLE } from '../image/write-card.ts'
import { SystemPrograms } from '../install/system-programs.ts'
import type { Flags } from './command-place.ts'
import { clientAtHand } from './gateway-at-hand.ts'
import { interruptible } from './interruption.ts'
import type { Streams } from './streams.ts'
import { createToken } from './token.ts'
import { ask } from './typed-input.ts'

export type FlashFlags = BoardFlags &
  Flags<'image' | 'sha256' | 'package' | 'node' | 'device' | 'output', 'yes'>

export async function flashCard(flags: FlashFlags, streams: Streams): Promise<number> {
  const { image, device, output, sha256 } = flags
  if (image === undefined) throw usage('--image: name the image of the system')
  if ((device === undefined) === (output === undefined)) {
    throw usage('name a card with --device, or a file with --output')
  }
  checkDigest(sha256)
  // Refused before any work is done.
  const inputs = { '--image': image, '--package': flags.package, '--node': flags.node }
  const file = output === undefined ? undefined : await outputFile(output, inputs)
  const board = await readBoardWishes(flags, tokenSources(streams))
  const target: FlashTarget =
    file === undefined ? { kind: 'device', path: device! } : { kind: 'file', path: file }
  const left =
    file === undefined ? `where writing had begun, ${UNUSABLE}` : 'nothing was left behind'
  await interruptible(`interrupted; ${left}`, (signal) =>
    flash(
      {
        board,
        image,
        sha256,
        package: flags.package,
        node: flags.node,
        target,
        confirm: async (question, answer) =>
          flags.yes === true || (await ask(question, streams, signal)) === answer,
      },
      {
        programs: new SystemPrograms(streams.environment),
        output: streams.stderr,
        system: { sys: '/sys', proc: '/proc' },
        signal,
      },
    ),
  )
  streams.stderr.write(`${output ?? device} is ready: ${board.id} joins ${board.gateway}\n`)
  return EXIT_DONE
}

/** Long enough for a card that lies on a desk, or is in the post. */
const TOKEN_HOURS = 7 * 24

function tokenSources({ stdin, stderr, environment }: Streams): TokenSources {
  return {
    input: stdin,
    create: async (id) => {
      const gateway = clientAtHand(environment)
      if (gateway === undefined) return undefined
      const { token } = await createToken(gateway, { node: id, ttl_hours: TOKEN_HOURS })
      stderr.write(`made a token for ${id}, for ${TOKEN_HOURS / 24} days\n`)
      return token
    },
  }
}

function checkDigest(sha256: string | undefined): void {
  if (sha256 !== undefined && !/^[0-9a-fA-F]{64}$/.test(sha256)) {
    throw usage(`--sha256: "${sha256}" is not 64 hexadecimal digits`)
  }
}

export type CloudConfigFlags = BoardFlags & Flags<'package' | 'sha256' | 'node'>

const PACKAGE_DEFAULT = 'obelisk-agent.tar.gz'

export async function printCloudConfig(flags: CloudConfigFlags, streams: Streams): Promise<number> {
  checkDigest(flags.sha256)
  const board = await readBoardWishes(flags, tokenSources(streams))
  if (board.wifi !== undefined) {
    throw usage('--wifi: cloud-init has the network in its network-config; set it in the Imager')
  }
  streams.stdout.write(
    cloudConfig(board, {
      agent: flags.package ?? PACKAGE_DEFAULT,
      agentSha256: flags.sha256,
      node: flags.node,
    }),
  )
  return EXIT_DONE
}
