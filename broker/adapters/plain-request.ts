/**
 * Who speaks HTTP where TLS is spoken, as somebody does who types an address without its `https://`: he is told so, and
 * never sent on, or nobody would notice who stands between. Nothing of what came is done or kept.
 */
import { problemResponse } from './problem-json.ts'

const HEAD_BYTES_MAX = 4096
/** The first line of a request [RFC 9112 §3], and a host with nothing in it that could end a line. */
const REQUEST = /^(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) (\S+) HTTP\/1\.[01]\r\n/
const HOST =
  /\r\nhost:[ \t]*([a-z0-9._-]{1,253}(?::\d{1,5})?|\[[0-9a-f:]{2,45}\](?::\d{1,5})?)[ \t]*\r\n/i

/** The answer to what came first on a connection, if that is a request of HTTP. */
export function answerToPlain(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes.subarray(0, HEAD_BYTES_MAX)).toString('latin1')
  if (!REQUEST.test(text)) return undefined
  const [, host = ''] = HOST.exec(text) ?? []
  const address = `https://${host}`
  const detail = `this gateway is secured, and speaks TLS here: ask ${address}; for commands, obelisk login ${address}`
  return problemResponse({ status: 400, code: 'https-only', detail })
}
