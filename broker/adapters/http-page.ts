/**
 * The web page: files that the build has made (scripts/package/page.ts), held in memory. What is named by its own hash
 * never changes, so a browser asks for it once; it asks each time whether `/` is still the same.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { own } from '../../shared/core/own.ts'
import { rightOf } from './http-access.ts'
import { namesTag } from './http-request.ts'
import { type ProblemAnswer, sendProblem } from './problem-json.ts'

interface PageFile {
  readonly type: string
  readonly plain: Buffer
  readonly gzip: Buffer
  /** Of the plain bytes, without quotes. */
  readonly tag: string
}

/** By path from the top of the page: `index.html`, `page/main-5A3F.js`. */
export type Page = ReadonlyMap<string, PageFile>

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
}

const COMPRESSED = '.gz'
const FOR_EVER = 'public, max-age=31536000, immutable'
const NO_PATH: ProblemAnswer = { status: 404, code: 'not-found', detail: 'there is nothing at *' }
const NOT_BUILT: ProblemAnswer = {
  status: 404,
  code: 'not-found',
  detail: 'this gateway was built without its web page: npm run build',
}

/** Every file with its `.gz` beside it; nothing where none was built. */
export function readPage(directory: string): Page | undefined {
  try {
    const names = readdirSync(directory, { recursive: true }).map(String)
    const page = new Map(
      names
        .filter((name) => names.includes(name + COMPRESSED))
        .map((name) => {
          const type = own(TYPES, extname(name)) ?? 'application/octet-stream'
          const plain = readFileSync(join(directory, name))
          const gzip = readFileSync(join(directory, name + COMPRESSED))
          const tag = createHash('sha256').update(plain).digest('base64url').slice(0, 22)
          return [name, { type, plain, gzip, tag }]
        }),
    )
    return page.has('index.html') ? page : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** `frameAncestors`: who may show the page within another one, as a policy of content says it. */
export function registerPageRoutes(
  app: FastifyInstance,
  page: Page | undefined,
  frameAncestors: string,
): void {
  const open = rightOf('none')
  const policy = policyOf(frameAncestors)
  const sendFile = (
    request: FastifyRequest,
    reply: FastifyReply,
    name: string,
    keep: string,
  ): FastifyReply => {
    // The router takes `*`, which stands for no path at all [RFC 9112 §3.2.4], for `/`.
    if (request.url === '*') return sendProblem(reply, NO_PATH)
    if (page === undefined) return sendProblem(reply, NOT_BUILT)
    const file = page.get(name)
    if (file === undefined) {
      const detail = `the page has no ${name.slice(0, 128)}: it may be of another version, load it anew`
      return sendProblem(reply, { status: 404, code: 'not-found', detail })
    }
    const isCompressed = takesGzip(request.headers['accept-encoding'])
    const tag = isCompressed ? `"${file.tag}-gz"` : `"${file.tag}"`
    reply.headers({
      'cache-control': keep,
      'content-security-policy': policy,
      'referrer-policy': 'no-referrer',
      vary: 'accept-encoding',
      etag: tag,
    })
    if (namesTag(request.headers['if-none-match'], tag)) return reply.code(304).send()
    reply.type(file.type)
    if (!isCompressed) return reply.send(file.plain)
    return reply.header('content-encoding', 'gzip').send(file.gzip)
  }
  app.get('/', open, (request, reply) => sendFile(request, reply, 'index.html', 'no-cache'))
  app.get('/icon.svg', open, (request, reply) => sendFile(request, reply, 'icon.svg', 'no-cache'))
  app.get('/codes.json', open, (request, reply) =>
    sendFile(request, reply, 'codes.json', 'no-cache'),
  )
  app.get('/page/:file', open, (request: FastifyRequest<{ Params: { file: string } }>, reply) =>
    sendFile(request, reply, `page/${request.params.file}`, FOR_EVER),
  )
}

/** Nothing from elsewhere, nothing in the markup, and no text that becomes code. */
function policyOf(frameAncestors: string): string {
  return [
    "default-src 'none'",
    ...["script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
    ...["base-uri 'none'", "form-action 'self'", `frame-ancestors ${frameAncestors}`],
    "require-trusted-types-for 'script'",
  ].join('; ')
}

/** [RFC 9110 §12.5.3]; `q=0` is a no. No digit can be taken in two ways: a stranger writes the header. */
function takesGzip(header: string | string[] | undefined): boolean {
  return /(^|,)\s*(gzip|\*)\s*(;\s*q=(0\.0*[1-9]\d*|1(\.0*)?)\s*)?(,|$)/i.test(`${header ?? ''}`)
}
