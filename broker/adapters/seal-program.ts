/** What a thread that seals runs. Packages have `scripts/package/installed.ts` instead. */
export function sealProgram(): URL {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./seal-worker.${ending}`, import.meta.url)
}
