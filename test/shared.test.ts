import { runInOneProcess } from './support/one-process.ts'

const folders = ['core', 'grid', 'operations', 'protocol']
await runInOneProcess(...folders.map((name) => new URL(`shared/${name}/`, import.meta.url)))
