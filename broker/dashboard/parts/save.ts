/** Gives a file to the browser, as if it had been a link. */
export function save(name: string, type: string, bytes: BlobPart): void {
  const url = URL.createObjectURL(new Blob([bytes], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // It is read in the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
