/** Runs the test files that are its arguments in this process: to start one costs more than most light tests do. */
import { pathToFileURL } from 'node:url'

const [, ...files] = process.argv.splice(1)
// tap names its directories by the program and its arguments.
process.argv.push(files[0]!)
for (const file of files) await import(pathToFileURL(file).href)
