/** Names that a certificate can carry [RFC 5280 §4.2.1.6]: of hosts [RFC 1123 §2.1], and addresses. */
import { isIP } from 'node:net'

const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i

export function isHostName(text: string): boolean {
  return isIP(text) > 0 || DNS_NAME.test(text)
}
