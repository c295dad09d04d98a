/** A secured gateway with users, and how they come in. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { SecuredGateway } from '../support/secured-gateway.ts'

export const PASSWORD = 'correct horse'

/** By name: the roles, as the command takes them. `more` are words for the gateway. */
export async function secured(
  t: Test,
  users: Readonly<Record<string, readonly string[]>>,
  ...more: readonly string[]
): Promise<SecuredGateway> {
  const gateway = await SecuredGateway.start(t, ...more)
  const file = join(gateway.fleet.directory, 'password')
  writeFileSync(file, PASSWORD)
  for (const [name, how] of Object.entries(users)) {
    await gateway.done('user', 'add', name, '--password-file', file, ...how)
  }
  return gateway
}

export async function login(page: Page, name: string, password = PASSWORD): Promise<void> {
  const dialog = page.getByRole('dialog', { name: 'Who are you?' })
  await dialog.getByLabel('Name').fill(name)
  await dialog.getByLabel('Password or token').fill(password)
  await dialog.getByRole('button', { name: 'log in' }).click()
}
