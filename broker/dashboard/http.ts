/** What the page asks of the gateway: JSON over HTTP, by paths that are relative, so that a proxy may put it anywhere. */

/** Why the gateway did not do it (RFC 9457). */
export class Problem extends Error {
  readonly status: number
  /** Stable; each has a row in docs/operations.md. */
  readonly code: string

  constructor(status: number, code: string, detail: string) {
    super(detail)
    this.status = status
    this.code = code
  }
}

/** No gateway answered. */
export class Unreachable extends Error {}

export interface Order {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is, in its place, with its type. */
  readonly file?: Blob
  /** The type of the answer; JSON unless given. */
  readonly accept?: string
  readonly signal?: AbortSignal
}

/** Throws a Problem, or Unreachable. */
export async function request(path: string, order: Order = {}): Promise<Response> {
  const { method = 'GET', body, file, accept = 'application/json', signal } = order
  const type = file === undefined ? 'application/json' : file.type
  const content = file ?? (body === undefined ? undefined : JSON.stringify(body))
  let answer: Response
  try {
    answer = await fetch(path, {
      method,
      headers: { accept, ...(content === undefined ? {} : { 'content-type': type }) },
      ...(content === undefined ? {} : { body: content }),
      ...(signal && { signal }),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Unreachable('the gateway does not answer')
  }
  if (answer.ok) return answer
  const told = await answer.json().catch(() => ({}))
  throw new Problem(answer.status, told.code ?? 'unknown', told.detail ?? answer.statusText)
}
