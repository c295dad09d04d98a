/**
 * What somebody probably meant by a word that is not known: the known one that is fewest slips away.
 * Distances are those of Damerau and Levenshtein, in the form that lets no letter move twice.
 */

/** Letters to insert, delete, replace or swap to get from one text to the other. */
export function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1]
      let least = Math.min(
        rows[row - 1]![column]! + 1,
        current[column - 1]! + 1,
        rows[row - 1]![column - 1]! + (isSame ? 0 : 1),
      )
      const isSwap = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      if (row > 1 && column > 1 && isSwap) least = Math.min(least, rows[row - 2]![column - 2]! + 1)
      current.push(least)
    }
    rows.push(current)
  }
  return rows[from.length]![to.length]!
}

/** The known word that `given` was most likely meant to be, if any is near. */
export function closest(given: string, known: readonly string[]): string | undefined {
  if (given.length > 64) return undefined
  const distanceMax = Math.max(1, Math.floor(given.length / 4))
  let best: { word: string; distance: number } | undefined
  for (const word of known) {
    const distance = normal(word).startsWith(normal(given))
      ? 0.5
      : editDistance(normal(given), normal(word))
    if (distance <= distanceMax && (best === undefined || distance < best.distance)) {
      best = { word, distance }
    }
  }
  return best?.word
}

/** The end of a complaint about an unknown word. */
export function didYouMean(given: string, known: readonly string[], mark = ''): string {
  const near = closest(given, known)
  return near === undefined ? '' : `, did you mean ${mark}${near}?`
}

/** Case and the kind of separator are what people mix up most. */
function normal(word: string): string {
  return word.toLowerCase().replaceAll('_', '-')
}
