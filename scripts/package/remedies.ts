/** What the manual says of codes, for the page: what each means, and what helps. */

export type Remedies = Readonly<Record<string, readonly [meaning: string, remedy: string]>>

const ROW = /^\| `([a-z0-9-]+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm

/** Of what is told as an event, or as the error of a task. `manual` is the text of docs/operations.md. */
export function remediesIn(manual: string): Remedies {
  const table = manual.split('\n## Codes\n')[1] ?? ''
  const rows = [...table.matchAll(ROW)].filter(([, , said]) => /\b(event|task)\b/.test(said!))
  return Object.fromEntries(
    rows.map(([, code, , meaning, remedy]) => [code!, [plain(meaning!), plain(remedy!)]]),
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
