/** What the manual says of codes, for the page: what each means, and what helps where something does. */

/** Of each code the meaning, and after it the remedy. */
export type Remedies = Readonly<Record<string, readonly string[]>>

/** What the manual says where nothing needs to be done. */
const NOTHING = 'Nothing.'

const ROW = /^\| `([a-z0-9-]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm

/** Of what is told as an event, or as the error of a task. `manual` is the text of docs/operations.md. */
export function remediesIn(manual: string): Remedies {
  const table = manual.split('\n## Codes\n')[1] ?? ''
  const rows = [...table.matchAll(ROW)].filter(([, , said]) => /\b(event|task)\b/.test(said!))
  return Object.fromEntries(
    rows.map(([, code, , ...texts]) => [
      code!,
      texts.map(plain).filter((text) => text !== NOTHING),
    ]),
  )
}

/** What is above or below in the manual is not so in the page. */
function plain(text: string): string {
  return text
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '"$1"')
    .replace(/\bSee (above|below),/g, 'See the manual (operations.md),')
    .replace(/\bSee "/g, 'See the manual (operations.md), "')
    .trim()
}
