/**
 * Runs all tests of some folders in this process: to start one costs more than most tests of pure code do. Each file
 * runs by itself, too: `npx tap run <file>`.
 */
import { readdirSync } from 'node:fs'

export async function runInOneProcess(...folders: readonly URL[]): Promise<void> {
  for (const folder of folders) {
    const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'))
    for (const file of files.sort()) await import(new URL(file, folder).href)
  }
}
