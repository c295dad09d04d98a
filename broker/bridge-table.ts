/** The options of the bridge to another broker, most of which say nothing without others: who gives them alone is told so. */
import { brokerUrl } from '../shared/runtime/broker-url-option.ts'
import type { Relation } from '../shared/runtime/option-table.ts'
import { text } from '../shared/runtime/option-types.ts'
import { topicFilters, topicPrefix } from './option-types.ts'

export const BRIDGE_OPTIONS = {
  bridgeUrl: {
    type: brokerUrl,
    about: 'Another broker to be a bridge to, a mosquitto mostly; without it, there is none.',
  },
  bridgeUsername: { type: text(), about: 'Name by which that broker knows the gateway.' },
  bridgePasswordFile: {
    type: text({ placeholder: '<file>' }),
    about: 'File with the password for it, in its first line.',
  },
  bridgeCa: {
    type: text({ placeholder: '<file>' }),
    about: "Certificate of the authority of that broker; without it, those of the system's.",
  },
  bridgePrefixOut: {
    type: topicPrefix,
    about: 'What stands before each topic that goes to that broker, such as `site/`.',
  },
  bridgeTopicsIn: {
    type: topicFilters,
    about: 'Filters of what comes in from that broker, besides what is for the gateway.',
  },
  bridgeTokenFile: {
    type: text({ placeholder: '<file>' }),
    about: 'File with a token of the user `bridge`, as whom a secured gateway takes what comes in.',
  },
} as const

const OF_BRIDGE = {
  bridgeUsername: '--bridge-username',
  bridgePasswordFile: '--bridge-password-file',
  bridgeCa: '--bridge-ca',
  bridgePrefixOut: '--bridge-prefix-out',
  bridgeTopicsIn: '--bridge-topics-in',
  bridgeTokenFile: '--bridge-token-file',
} as const

export const BRIDGE_RELATIONS: readonly Relation<typeof BRIDGE_OPTIONS>[] = [
  ...(Object.keys(OF_BRIDGE) as (keyof typeof OF_BRIDGE)[]).map(
    (name): Relation<typeof BRIDGE_OPTIONS> => ({
      of: [name, 'bridgeUrl'],
      check: ({ bridgeUrl, ...values }) =>
        bridgeUrl !== undefined || values[name] === undefined
          ? undefined
          : `${OF_BRIDGE[name]}: there is no bridge: --bridge-url says to which broker`,
    }),
  ),
  {
    of: ['bridgePasswordFile', 'bridgeUsername', 'bridgeUrl'],
    check: ({ bridgePasswordFile, bridgeUsername, bridgeUrl }) =>
      bridgeUrl === undefined || bridgePasswordFile === undefined || bridgeUsername !== undefined
        ? undefined
        : '--bridge-password-file: a password is of a name: --bridge-username says which',
  },
  {
    of: ['bridgeCa', 'bridgeUrl'],
    check: ({ bridgeCa, bridgeUrl = 'mqtts:' }) =>
      bridgeCa === undefined || bridgeUrl.startsWith('mqtts:')
        ? undefined
        : `--bridge-ca: ${bridgeUrl} shows no certificate, mqtts:// does`,
  },
]
