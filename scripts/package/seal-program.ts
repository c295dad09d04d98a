/** In an installed tree: beside the bundle that this is in. */
export function sealProgram(): URL {
  return new URL('./sealer.mjs', import.meta.url)
}
