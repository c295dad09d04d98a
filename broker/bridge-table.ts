/** The options of the bridge to another broker. */
import { brokerUrl } from '../shared/runtime/broker-url-option.ts'
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
