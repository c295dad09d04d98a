/**
 * Who uses the page, and what he may do. Whatever is asked while nobody is logged in waits for the form, and then goes
 * on, if it is the same person: an order of one user is never given by the next.
 */
import { computed, signal } from '@preact/signals'
import type { Grant, Role } from '../../shared/protocol/access.ts'
import { type HttpRight, mayAsk } from '../../shared/protocol/http-rights.ts'
import { type Order, Problem, request } from './http.ts'

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
const waiting: { readonly user: string | null | undefined; go(isSame: boolean): void }[] = []

/** Whether he would be given it; the gateway decides anyway. */
export function may(right: HttpRight): boolean {
  const { user, roles } = who.value ?? { user: undefined, roles: [] }
  if (user === undefined) return right === 'none'
  if (user === null) return mayAsk({ kind: 'anyone' }, right)
  return mayAsk({ kind: 'user', name: user, roles, topics: [] }, right)
}

export const isReader = computed(() => may('read'))

/** The answer's JSON. Throws a Problem, or Unreachable. */
export async function ask<T>(path: string, order?: Order): Promise<T> {
  const answer = await answerTo(path, order)
  return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T)
}

/** The same for what is no JSON. */
export async function answerTo(path: string, order?: Order): Promise<Response> {
  for (;;) {
    try {
      return await request(path, order)
    } catch (error) {
      const isStranger = error instanceof Problem && error.status === 401
      if (!isStranger || !(await loggedIn())) throw error
    }
  }
}

/** Waits for the form. False if somebody else has come. */
function loggedIn(): Promise<boolean> {
  isAsked.value = true
  return new Promise((go) => waiting.push({ user: who.peek()?.user, go }))
}

export async function learnWho(): Promise<void> {
  who.value = await ask<Who>('api/whoami')
}

/** Throws the Problem that the form is to show. */
export async function login(given: { name: string; password: string } | { token: string }) {
  await request('api/login', { method: 'POST', body: given })
  const before = who.peek()?.user
  who.value = (await (await request('api/whoami')).json()) as Who
  isAsked.value = false
  const user = who.value.user
  for (const { user: asked, go } of waiting.splice(0)) go(asked === undefined || asked === user)
  return before === user
}

export async function logout(): Promise<void> {
  await request('api/logout', { method: 'POST' })
  location.reload()
}
