/**
 * Every stable code that the programs say to somebody, collected from the syntax of their sources: what
 * is refused, reported, logged or thrown. A code is taken where it becomes one: a member of a union of
 * codes, the code of an error or notice, or whatever is named `code`. `said` is how operations.md
 * tells it: `problem`, `node refused`, `enrolment`, `event warn`, `log error`, `error`, `HTTP 404`, `task`,
 * `disconnect`, `connection`, `security`, `upgrade`.
 */
import ts from 'typescript'
import { syntaxOf } from './syntax.ts'

export interface SpokenCode {
  readonly code: string
  readonly said: string
  /** `path:line`. */
  readonly place: string
}

const UNIONS: Readonly<Record<string, string>> = {
  ProblemCode: 'problem',
  OslCode: 'problem',
  RefusalCode: 'refusal',
  RefusedCode: 'node refused',
  EnrolmentRefusal: 'enrolment',
  PacketProblem: 'connection',
  FrameProblem: 'connection',
  HandshakeFault: 'connection',
  Denial: 'connection',
  LoginRefusal: 'connection',
  KeyRefusal: 'connection',
  UserRefusal: 'error',
}

/** What they say with a code alone is why somebody is not served. */
const REFUSING = [
  ...['submissions', 'looks', 'ledger-room', 'reading-desk', 'readings', 'codex-desk'].map(
    (name) => `broker/core/rules/${name}.ts`,
  ),
  'broker/core/state/codex.ts',
  'broker/core/state/ghosts.ts',
]
const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error']

/** By path, of the text that was there last: most files are looked at again and again. */
const collected = new Map<string, { text: string; codes: SpokenCode[] }>()

export function collectCodes(path: string, text: string): SpokenCode[] {
  const known = collected.get(path)
  if (known?.text === text) return known.codes
  const codes = new Collector(path, text).collect()
  collected.set(path, { text, codes })
  return codes
}

class Collector {
  readonly #path: string
  readonly #tree: ts.SourceFile
  readonly #found: SpokenCode[] = []

  constructor(path: string, text: string) {
    this.#path = path
    this.#tree = syntaxOf(path, text)
  }

  collect(): SpokenCode[] {
    const descend = (node: ts.Node): void => {
      this.#look(node)
      ts.forEachChild(node, descend)
    }
    descend(this.#tree)
    return this.#found
  }

  #look(node: ts.Node): void {
    if (ts.isTypeAliasDeclaration(node)) this.#lookAtUnion(node)
    else if (ts.isNewExpression(node)) this.#lookAtError(node, node.expression.getText())
    else if (ts.isCallExpression(node)) this.#lookAtCall(node)
    else if (ts.isPropertyAssignment(node)) this.#lookAtMember(node)
    else if (ts.isVariableDeclaration(node) && node.name.getText() === 'code') {
      if (node.initializer !== undefined) this.#take(node.initializer, this.#saidHere())
    }
  }

  #lookAtMember(node: ts.PropertyAssignment): void {
    const name = node.name.getText()
    if (name === 'code') {
      for (const said of this.#saidBy(node)) this.#take(node.initializer, said)
    }
    const isDisconnect = node.parent.properties.some(
      (property) => property.getText() === "type: 'disconnect'",
    )
    if (name === 'reason' && isDisconnect && this.#path.startsWith('broker/core/')) {
      this.#take(node.initializer, 'disconnect')
    }
  }

  /** For a code that stands alone: what its file deals in. */
  #saidHere(): string {
    if (/^shared\/(protocol\/problems|operations\/program)\.ts$/.test(this.#path)) return 'problem'
    if (this.#path === 'firmware-agent/driver.ts') return 'error'
    if (
      /^(broker\/core\/(rules\/upgrades|state\/upgrade-table|rules\/package-fetches)|scripts\/commands\/install-staged|firmware-agent\/adapters\/staged-upgrades)\.ts$/.test(
        this.#path,
      )
    )
      return 'upgrade'
    return REFUSING.includes(this.#path) ? 'refusal' : 'task'
  }

  #lookAtUnion(node: ts.TypeAliasDeclaration): void {
    const said = UNIONS[node.name.text]
    if (said === undefined) return
    const members = ts.isUnionTypeNode(node.type) ? node.type.types : [node.type]
    for (const member of members) {
      if (ts.isLiteralTypeNode(member)) this.#take(member.literal, said)
    }
  }

  #lookAtError(node: ts.NewExpression | ts.CallExpression, name: string): void {
    if (name !== 'AppError' && !(name === 'super' && this.#extendsAppError(node))) return
    const [code] = node.arguments ?? []
    if (code !== undefined) this.#take(code, 'error')
  }

  #extendsAppError(node: ts.Node): boolean {
    for (let at: ts.Node = node; at !== undefined; at = at.parent) {
      if (!ts.isClassDeclaration(at)) continue
      return at.heritageClauses?.some(({ types }) => types[0]?.getText() === 'AppError') ?? false
    }
    return false
  }

  #lookAtCall(node: ts.CallExpression): void {
    const name = node.expression.getText()
    const [first, second] = node.arguments
    if (name === 'super') this.#lookAtError(node, name)
    if (first === undefined) return
    const isFault = name === 'fault' && this.#path.startsWith('scripts/')
    if (isFault || (name === 'told' && this.#path === 'scripts/path-faults.ts')) {
      this.#take(first, 'error')
    }
    if (/(^|[.#])(notice|log)$/.test(name) && second !== undefined) {
      const said = name.endsWith('notice') ? 'event' : 'log'
      for (const level of this.#literals(first)) {
        if (LEVELS.includes(level)) this.#take(second, `${said} ${level}`)
      }
    }
    if (/^this\.#(fail|(table\.)?skip)$/.test(name) && this.#saidHere() === 'upgrade') {
      this.#take(node.arguments.at(name.endsWith('fail') ? 2 : 1)!, 'upgrade')
    }
    if (name === 'this.#stopStream') this.#take(first, 'log error')
    if (name === 'this.#refuse' && this.#path.includes('mqtt-gate')) this.#take(first, 'connection')
    if (/\.disconnect$/.test(name) && this.#path.startsWith('broker/core/') && second) {
      this.#take(second, 'disconnect')
    }
  }

  /** What an object says with its member `code`, told by what stands beside it. */
  #saidBy(node: ts.PropertyAssignment): string[] {
    const object = node.parent
    const members = new Map<string, ts.Expression>()
    for (const property of object.properties) {
      if (ts.isPropertyAssignment(property)) {
        members.set(property.name.getText(), property.initializer)
      } else if (ts.isShorthandPropertyAssignment(property)) {
        members.set(property.name.text, property.name)
      }
    }
    const call = object.parent
    if (ts.isNewExpression(call) && call.expression.getText() === 'ObeliskError') return ['error']
    if (ts.isCallExpression(call) && call.arguments[0] === object) {
      const level = /(?:^|\.|#)log(?:ger)?\??\.(debug|info|warn|error)$/.exec(
        call.expression.getText(),
      )?.[1]
      if (level !== undefined) return [`log ${level}`]
    }
    if (members.has('event')) return ['security']
    const status = members.get('status')
    if (status !== undefined) return this.#numbers(status).map((number) => `HTTP ${number}`)
    if (members.has('level')) {
      const type = members.get('type')
      const said = type !== undefined && this.#literals(type).includes('log') ? 'log' : 'event'
      return this.#literals(members.get('level')!).map((level) => `${said} ${level}`)
    }
    if (members.get('kind')?.getText() === "'refuse'") return ['node refused']
    if (members.get('t')?.getText() === "'refused'") return ['node refused']
    return [members.has('path') ? 'problem' : this.#saidHere()]
  }

  #take(node: ts.Node, said: string): void {
    for (const code of this.#literals(node)) {
      const { line } = this.#tree.getLineAndCharacterOfPosition(node.getStart())
      this.#found.push({ code, said, place: `${this.#path}:${line + 1}` })
    }
  }

  /** The texts that an expression may be, as far as they stand in it or in a constant beside it. */
  #literals(node: ts.Node): string[] {
    if (ts.isStringLiteral(node)) return [node.text]
    if (ts.isConditionalExpression(node)) {
      return [...this.#literals(node.whenTrue), ...this.#literals(node.whenFalse)]
    }
    if (ts.isIdentifier(node) && node.text === 'level') {
      return this.#constant(node.text).flatMap((value) => this.#literals(value))
    }
    return []
  }

  #numbers(node: ts.Node): string[] {
    if (ts.isNumericLiteral(node)) return [node.text]
    if (!ts.isIdentifier(node)) return []
    return this.#constant(node.text).flatMap((value) => {
      return ts.isConditionalExpression(value)
        ? [...this.#numbers(value.whenTrue), ...this.#numbers(value.whenFalse)]
        : this.#numbers(value)
    })
  }

  #constant(name: string): ts.Expression[] {
    const found: ts.Expression[] = []
    const descend = (node: ts.Node): void => {
      if (ts.isVariableDeclaration(node) && node.name.getText() === name && node.initializer) {
        found.push(node.initializer)
      }
      ts.forEachChild(node, descend)
    }
    descend(this.#tree)
    return found
  }
}
