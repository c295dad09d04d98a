/** What a test gives to a Node that is to run TypeScript. */
export const TYPESCRIPT = `--import=${new URL('./register.js', import.meta.url)}`
