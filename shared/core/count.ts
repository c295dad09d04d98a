/**
 * How many there are of something, in words: `1 task`, `2 tasks`. For nouns whose plural ends in `s`; what has another,
 * as `copies`, is written out where it stands, and so is a verb that goes by it. The page has one of its own, which
 * parts thousands.
 */

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
