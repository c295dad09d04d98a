/**
 * Who uses the page, and what he may do. Whatever is asked while nobody is logged in waits for the form, and then goes
 * on, if it is the same person: an order of one user is never given by the next.
 */
import { computed, signal } from '@preact/signals'
import { type Answer, GatewayClient, type Question } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { Grant, Role } from '../../shared/protocol/access.ts'
import { type HttpRight, mayAsk } from '../../shared/protocol/http-rights.ts'

export interface Who {
  /** Null where nobody is asked who he is. */
  readonly user: string | null
  readonly roles: readonly Role[]
  readonly grant?: Grant
  readonly mqttPort?: number
}

/** Nothing until it is known. */
export const who = signal<Who | undefined>(undefined)
/** Whether the form is shown. */
export const isAsked = signal(false)
/** Looks take 30 s at most, and a slow network has to carry them. */
const TIMEOUT_MS = 60_000
const waiting: { readonly user: string | null | undefined; go(isSame: boolean): void }[] = []

/** Whether he would be given it; the gateway decides anyway. */
export function may(right: HttpRight): boolean {
  const { user, roles } = who.value ?? { user: undefined, roles: [] }
  if (user === undefined) return right === 'none'
  if (user === null) return mayAsk({ kind: 'anyone' }, right)
  return mayAsk({ kind: 'user', name: user, roles, topics: [] }, right)
}

export const isReader = computed(() => may('read'))

/** A file is sent as it is, in place of a body, with its type. */
export type Order = Omit<Question, 'path'> & { readonly file?: Blob }

/** Paths are relative, so that a proxy may put the page anywhere. */
export const gateway = gatewayBy()

function gatewayBy(file?: Blob): GatewayClient {
  const more = file && { body: file }
  return new GatewayClient('', {
    carrier: (path, asked) => fetch(`.${path}`, { ...asked, ...more }),
  })
}

/** The answer's JSON. `path` has no slash before it. Throws an ObeliskError. */
export async function ask<T>(path: string, order?: Order): Promise<T> {
  const { status, body } = await answerTo(path, order)
  return (status === 204 ? undefined : JSON.parse(textOf(body))) as T
}

/** The same for what is no JSON. */
export async function answerTo(path: string, order: Order = {}): Promise<Answer> {
  const { file, ...question } = order
  const client = file === undefined ? gateway : gatewayBy(file)
  const typed = file && { headers: { 'content-type': file.type } }
  for (;;) {
    try {
      return await client.request({
        timeoutMs: TIMEOUT_MS,
        ...question,
        ...typed,
        path: `/${path}`,
      })
    } catch (error) {
      const isStranger = error instanceof ObeliskError && error.status === 401
      if (!isStranger || !(await loggedIn())) throw error
    }
  }
}

export function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

/** Waits for the form. False if somebody else has come. */
function loggedIn(): Promise<boolean> {
  isAsked.value = true
  return new Promise((go) => waiting.push({ user: who.peek()?.user, go }))
}

export async function learnWho(): Promise<void> {
  who.value = await ask<Who>('api/whoami')
}

/** Throws what the form is to show. */
export async function login(given: { name: string; password: string } | { token: string }) {
  await gateway.request({ method: 'POST', path: '/api/login', body: given })
  const before = who.peek()?.user
  who.value = await gateway.json<Who>({ path: '/api/whoami' })
  isAsked.value = false
  const user = who.value.user
  for (const { user: asked, go } of waiting.splice(0)) go(asked === undefined || asked === user)
  return before === user
}

export async function logout(): Promise<void> {
  await gateway.request({ method: 'POST', path: '/api/logout' })
  location.reload()
}
