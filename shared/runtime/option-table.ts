/** An option table: what a program can be told, under one name in the file, environment and flags. */
import type { OptionType } from './option-types.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What a computed default may look at: the options before it in the table have their values. */
export interface DefaultContext {
  readonly environment: Environment
  readonly values: Readonly<Record<string, unknown>>
}

export interface Option<T> {
  readonly type: OptionType<T>
  /** Left out: the option may be absent. */
  readonly default?: T | ((context: DefaultContext) => T)
  /** Says what a computed default is. */
  readonly defaultText?: string
  /** One sentence. */
  readonly about: string
  /** The flag, where it is not the option's own name in kebab case. */
  readonly flag?: string
  /** Of an array of tables: each entry must say it. */
  readonly isRequired?: true
}

// biome-ignore lint/suspicious/noExplicitAny: a table holds options of every type
export type OptionTable = Readonly<Record<string, Option<any>>>

export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { type: OptionType<infer V> }
    ? T[K] extends { default: unknown } | { isRequired: true }
      ? V
      : V | undefined
    : never
}

/** Something that several options must hold together; checked when each of them is sound. */
export interface Relation<T extends OptionTable> {
  readonly of: readonly (keyof T & string)[]
  /** What is wrong, or nothing. `isGiven` tells what somebody asked for from a default. */
  check(values: Values<T>, isGiven: (name: keyof T & string) => boolean): string | undefined
}

export function flagOf(name: string, option: Option<unknown>): string {
  return option.flag ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

export function variableOf(name: string, option: Option<unknown>): string {
  return `OBELISK_${flagOf(name, option).replaceAll('-', '_').toUpperCase()}`
}

export function keyOf(name: string, option: Option<unknown>): string {
  return flagOf(name, option).replaceAll('-', '_')
}

/** The directory that the service manager made for us (systemd.exec(5), StateDirectory=). */
export function stateDirectory(environment: Environment): string | undefined {
  return environment.STATE_DIRECTORY?.split(':')[0] || undefined
}
