import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memoryStore } from '../../../core/store.ts'
import { createAccounts } from '../../../plugins/auth-local/accounts.ts'
import {
  addUserAccount,
  changePassword,
  listUsers,
  removeUserAccount,
  type People,
} from '../../../plugins/auth-local/users-actions.ts'

const email = 'alice@example.com'
const line = { email, fromStdin: true }

let folder: string
let people: People
let asked: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-users-'))
  asked = 0
  const askPassword = async (): Promise<string> => {
    asked++
    return 'twelve chars'
  }
  people = { accounts: createAccounts(memoryStore()), file: join(folder, 'users.json'), askPassword }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const entries = async (): Promise<any> => JSON.parse(await readFile(people.file, 'utf8'))

test('an add that broke off is mended by another one', async () => {
  const failing = { ...people.accounts, create: () => Promise.reject(new Error('disk full')) }
  await expect(addUserAccount({ ...people, accounts: failing }, line)).rejects.toThrow('disk full')
  expect(Object.keys(await entries())).toEqual([email])
  expect(await people.accounts.find(email)).toBeUndefined()
  expect(await addUserAccount(people, { ...line, name: 'Alice', roles: ['dev'] })).toContain('can log in now')
  expect((await entries())[email]).toMatchObject({ name: 'Alice', roles: ['dev'] })
  expect(await people.accounts.find(email)).toBeDefined()
})

test('a list that cannot be written leaves no account behind', async () => {
  await writeFile(people.file, '{ broken')
  await expect(addUserAccount(people, line)).rejects.toThrow()
  expect(await people.accounts.isEmpty()).toBe(true)
})

test('who is there already is not added again', async () => {
  await addUserAccount(people, line)
  const before = await people.accounts.find(email)
  const again = addUserAccount(people, { ...line, roles: ['admin'] })
  await expect(again).rejects.toMatchObject({ exitCode: 1, message: expect.stringContaining('users passwd') })
  expect(await people.accounts.find(email)).toEqual(before)
  expect((await entries())[email].roles ?? []).toEqual([])
  expect(asked).toBe(1)
})

test('an account whose entry was lost gets it back, with its password', async () => {
  await addUserAccount(people, line)
  const before = await people.accounts.find(email)
  await writeFile(people.file, '{}')
  expect(await addUserAccount(people, line)).toContain('the password they already had')
  expect(Object.keys(await entries())).toEqual([email])
  expect(await people.accounts.find(email)).toEqual(before)
  expect(asked).toBe(1)
})

test('a new password for somebody who has one, or is on the list without one; for nobody else', async () => {
  await expect(changePassword(people, line)).rejects.toMatchObject({ exitCode: 1 })
  expect(asked).toBe(0)
  await writeFile(people.file, JSON.stringify({ [email]: { allowed_tools: ['*'] } }))
  expect(await changePassword(people, line)).toContain('has a password now')
  const before = await people.accounts.find(email)
  expect(await changePassword(people, line)).toContain('has a new password')
  const after = await people.accounts.find(email)
  expect(after).toMatchObject({ id: before?.id, email })
  expect(after?.stamp).not.toBe(before?.stamp)
  expect(after?.hash).not.toBe(before?.hash)
})

test('removing says what there was', async () => {
  await addUserAccount(people, line)
  expect(await removeUserAccount(people, email)).toContain(`Removed: ${email}`)
  expect(await entries()).toEqual({})
  await expect(removeUserAccount(people, email)).rejects.toMatchObject({ exitCode: 1 })
  await people.accounts.create(email, 'hash')
  expect(await removeUserAccount(people, email)).toContain('there was no entry')
  await writeFile(people.file, JSON.stringify({ [email]: { allowed_tools: ['*'] } }))
  expect(await removeUserAccount(people, email)).toContain('there was no password')
})

test('the list has everybody, whatever is missing of them', async () => {
  expect(await listUsers(people)).toBe('There are no users yet.')
  await addUserAccount(people, { ...line, name: 'Ali\u001B[31mce', roles: ['dev', 'ops'], allowedTools: ['time_*'] })
  await people.accounts.create('carol@example.com', 'hash')
  await writeFile(
    people.file,
    JSON.stringify({ ...(await entries()), 'bob@example.com': { roles: [], allowed_tools: ['*'] } }),
  )
  const lines = (await listUsers(people)).split('\n').map((text) => text.split(/ {2,}/))
  expect(lines).toEqual([
    ['e-mail', 'name', 'roles', 'tools', 'password'],
    ['alice@example.com', 'Ali [31mce', 'dev, ops', 'time_*', 'yes'],
    ['bob@example.com', '–', '–', '*', 'no'],
    ['carol@example.com', '–', '–', 'none: not in users.json', 'yes'],
  ])
})
