import { makePackages } from './package.ts'

const to = (stream: NodeJS.WriteStream) => (line: string) => {
  stream.write(`${line}\n`)
}

process.exitCode = await makePackages(process.argv.slice(2), to(process.stdout), to(process.stderr))
