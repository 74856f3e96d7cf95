import { afterEach, expect, test } from 'vitest'
import { hashPassword } from '../../../plugins/auth-local/password.ts'
import { ALICE, PASSWORD } from './client.ts'
import { openLocal, type LocalProxy } from './support.ts'

let proxy: LocalProxy
afterEach(() => proxy.close())

async function grantError(response: Response): Promise<unknown> {
  expect(response.status).toBe(400)
  return ((await response.json()) as { error?: unknown }).error
}

test('a new password ends the logins made with the old one at their next refresh', async () => {
  proxy = await openLocal()
  const old = await proxy.tokens()
  await proxy.accounts.setPassword(ALICE, await hashPassword('another long password'))
  expect(await grantError(await proxy.refresh(old))).toBe('invalid_grant')
  expect((await proxy.mcp(old.tokens.access_token)).status).toBe(401)

  const login = await proxy.toLogin()
  expect((await login.submit(ALICE, PASSWORD)).status).toBe(401)
  expect((await login.submit(ALICE, 'another long password')).status).toBe(303)
})

test('without an account a login ends at its next refresh', async () => {
  proxy = await openLocal()
  const old = await proxy.tokens()
  await proxy.accounts.remove(ALICE)
  expect(await grantError(await proxy.refresh(old))).toBe('invalid_grant')
  expect((await proxy.mcp(old.tokens.access_token)).status).toBe(401)
})

test('who gets an account again is another person', async () => {
  proxy = await openLocal()
  const old = await proxy.tokens()
  await proxy.accounts.remove(ALICE)
  await proxy.accounts.create(ALICE, await hashPassword(PASSWORD))
  expect(await grantError(await proxy.refresh(old))).toBe('invalid_grant')
})

test('whoever is no longer in users.json is refused at once', async () => {
  proxy = await openLocal()
  const { tokens } = await proxy.tokens()
  await proxy.writeUsers({})
  await expect.poll(async () => (await proxy.mcp(tokens.access_token)).status, { timeout: 15_000 }).toBe(401)
})

test('a password that changes on the way back lets nobody in', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const callback = (await login.submit(ALICE, PASSWORD)).headers.get('location') ?? ''
  await proxy.accounts.setPassword(ALICE, await hashPassword('another long password'))
  const client = new URL((await login.browser.get(callback)).headers.get('location') ?? '')
  expect(client.searchParams.get('error')).toBe('access_denied')
})

test('a client learns nothing about passwords from a failed login', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const callback = new URL((await login.submit(ALICE, PASSWORD)).headers.get('location') ?? '')
  callback.searchParams.delete('code')
  const client = new URL((await login.browser.get(callback.href)).headers.get('location') ?? '')
  expect(client.searchParams.get('error')).toBe('access_denied')
  expect(client.searchParams.get('error_description')).toBe('The login was refused.')
})
