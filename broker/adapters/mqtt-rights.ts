/**
 * The rights of access.ts over the messages of one broker: asked wherever one comes in, and at the three places where
 * one leaves, to who is there, to who has just subscribed, and to who was away.
 */
import type { TaskId } from '../../shared/core/ids.ts'
import {
  mayReceive,
  maySubscribe,
  type OwnerOf,
  type Principal,
} from '../../shared/protocol/access.ts'
import type { Topic } from '../../shared/protocol/topics.ts'

/** As much of a message as says who may have it. */
export interface LeavingMessage {
  readonly topic: string
  readonly payload: Uint8Array | string
}

export class Rights {
  readonly #base: string
  readonly #ownerOfTask: (task: TaskId) => string | undefined
  /** Of payloads whose topic does not say whose they are. Aedes hands on the very bytes that it was given. */
  readonly #owners = new WeakMap<object, string>()

  constructor(base: string, ownerOfTask: (task: TaskId) => string | undefined) {
    this.#base = base
    this.#ownerOfTask = ownerOfTask
  }

  /** Of a task's topic. */
  readonly ownerOf: OwnerOf = (topic: Topic) =>
    'task' in topic ? this.#ownerOfTask(topic.task) : undefined

  /** These bytes concern this identity, and no other. */
  setOwner(payload: Uint8Array, owner: string): void {
    this.#owners.set(payload, owner)
  }

  /** A copy of bytes concerns whom they do. */
  copyOwner(from: Uint8Array, to: Uint8Array): void {
    const owner = this.#owners.get(from)
    if (owner !== undefined) this.#owners.set(to, owner)
  }

  maySubscribe(who: Principal, filter: string): boolean {
    return maySubscribe(this.#base, who, filter)
  }

  mayReceive(who: Principal, { topic, payload }: LeavingMessage): boolean {
    return mayReceive(this.#base, who, topic, (named) => {
      if (typeof payload === 'object' && named.kind === 'task-rejected') {
        return this.#owners.get(payload)
      }
      return this.ownerOf(named)
    })
  }
}
