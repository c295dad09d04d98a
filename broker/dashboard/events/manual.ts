/** What docs/operations.md says of codes, by code: the build puts it here. */
export const REMEDIES: Readonly<Record<string, readonly [meaning: string, remedy: string]>> = {}
