/** The address of an MQTT broker, as an option. */
import { malformed, text } from './option-types.ts'

export const brokerUrl = text({
  placeholder: '<url>',
  range: 'mqtt://host:port or mqtts://host:port',
  parse(given) {
    const url = URL.canParse(given) ? new URL(given) : undefined
    if (!url || !['mqtt:', 'mqtts:'].includes(url.protocol) || url.hostname === '') {
      return malformed('not a URL of the form mqtt://host:port or mqtts://host:port')
    }
    if (url.username !== '' || url.password !== '') {
      return malformed('neither a user name nor a password belongs in the URL')
    }
    return { ok: true, value: given }
  },
})
