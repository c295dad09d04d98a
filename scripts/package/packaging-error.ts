/** Why a package cannot be made here, in words for whoever asked for it. */
export class PackagingError extends Error {}
