/** In an installed tree: beside the bundle that this is in. */
export function verifyProgram(): URL {
  return new URL('./verify.mjs', import.meta.url)
}

export function releaseKey(): URL {
  return new URL('./release-key.pem', import.meta.url)
}
