/** The version of this software; a test holds it to package.json. */
export const VERSION = '0.1.0'
