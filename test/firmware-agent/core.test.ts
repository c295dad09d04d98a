import { runInOneProcess } from '../support/one-process.ts'

await runInOneProcess(new URL('core/', import.meta.url))
