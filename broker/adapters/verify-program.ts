/** What looks into packages. Packages have `scripts/package/installed.ts` instead. */
export function verifyProgram(): URL {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`../../scripts/package/verify.${ending}`, import.meta.url)
}

/** Where the keys of the release that runs would be. A checkout has none: packages are then taken by their own. */
export function releaseKey(): URL {
  return new URL('../../release-key.pem', import.meta.url)
}
