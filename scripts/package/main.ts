import { makePackages } from './package.ts'

process.exitCode = await makePackages(process.argv.slice(2), (line) => {
  process.stdout.write(`${line}\n`)
})
