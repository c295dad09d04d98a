/** `npm run simulate`. */
import { simulateCommand } from '../support/simulate-command.ts'

process.exitCode = await simulateCommand(process.argv.slice(2), {
  print: console.log,
  printError: console.error,
})
