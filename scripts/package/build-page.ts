/** The part of `npm run build` that the compiler of TypeScript does not do: the web page, beside the gateway's code. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKOUT } from './checkout.ts'
import { bundlePage } from './page.ts'
import { writeTree } from './tree.ts'

const TARGET = join(CHECKOUT, 'dist/broker/dashboard')

const { files } = await bundlePage()
rmSync(TARGET, { recursive: true, force: true })
writeTree(TARGET, files)
