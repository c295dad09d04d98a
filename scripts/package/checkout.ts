import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The top of the checkout, from a source or from what is built of it, with `/` at its end. */
export const CHECKOUT = findCheckout()

function findCheckout(): string {
  for (const up of ['../../', '../../../']) {
    const url = new URL(up, import.meta.url)
    if (existsSync(new URL('package-lock.json', url))) return fileURLToPath(url)
  }
  throw new Error('packages are made in a checkout, with its package-lock.json')
}
