/** What comes of work that is done in slices, all of them at once. */
export function ended<T>(slices: Generator<void, T>): T {
  for (;;) {
    const slice = slices.next()
    if (slice.done === true) return slice.value
  }
}
