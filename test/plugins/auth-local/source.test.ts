import { expect, test } from 'vitest'
import { memoryStore } from '../../../core/store.ts'
import { createAccounts } from '../../../plugins/auth-local/accounts.ts'
import { createAttempts } from '../../../plugins/auth-local/attempts.ts'
import { localSource } from '../../../plugins/auth-local/source.ts'

const ISSUER = 'https://mcp.example.com'
const CALLBACK = `${ISSUER}/auth/callback`
const EMAIL = 'alice@example.com'
const signal = new AbortController().signal
const keep = async (): Promise<void> => {}

async function open(store = memoryStore()) {
  const [accounts, attempts] = [createAccounts(store), createAttempts(store)]
  await accounts.create(EMAIL, 'hash')
  const account = await accounts.find(EMAIL)
  if (account === undefined) throw new Error('no account')
  const source = localSource({ issuer: ISSUER, accounts, attempts, routes: [] })
  const finish = (code: string, state = 'state') =>
    source.finish({ url: new URL(`${CALLBACK}?code=${code}`), state, callback: CALLBACK, kept: null, signal })
  const proof = { state: 'state', id: account.id, email: EMAIL, stamp: account.stamp }
  return { source, accounts, attempts, account, finish, proof }
}

test('vouches for who has proved a password, once', async () => {
  const { attempts, account, finish, proof } = await open()
  const code = await attempts.prove(proof)
  expect(await finish(code)).toEqual({
    identity: { issuer: ISSUER, subject: account.id, email: EMAIL, emailVerified: true },
    kept: { account: EMAIL, stamp: account.stamp },
  })
  await expect(finish(code)).rejects.toMatchObject({ name: 'SourceError', failure: 'denied' })
})

test('not in another login, and not for another account', async () => {
  const { attempts, accounts, finish, proof } = await open()
  await expect(finish(await attempts.prove(proof), 'other')).rejects.toMatchObject({ failure: 'denied' })
  const code = await attempts.prove(proof)
  await accounts.remove(EMAIL)
  await accounts.create(EMAIL, 'hash')
  await expect(finish(code)).rejects.toMatchObject({ failure: 'denied' })
})

test('a code and an attempt live for a while only', async () => {
  let now = 0
  const { attempts, finish, proof } = await open(memoryStore({ now: () => now }))
  const [code, attempt] = [await attempts.prove(proof), await attempts.open({ state: 'state', callback: CALLBACK })]
  now = 60_000
  await expect(finish(code)).rejects.toMatchObject({ failure: 'denied' })
  expect(await attempts.count(attempt)).toBe(4)
  now = 600_000
  expect(await attempts.find(attempt)).toBeUndefined()
  expect(await attempts.count(attempt)).toBeUndefined()
})

test('vouches again as long as the password is the same', async () => {
  const { source, accounts, account } = await open()
  const kept = { account: EMAIL, stamp: account.stamp }
  expect(await source.refresh?.(kept, signal, keep)).toMatchObject({ identity: { subject: account.id }, kept })
  for (const foreign of [null, {}, { account: 1, stamp: 2 }, { account: 'bob@example.com', stamp: account.stamp }]) {
    await expect(source.refresh?.(foreign, signal, keep)).rejects.toMatchObject({ failure: 'ended' })
  }
  await accounts.setPassword(EMAIL, 'other')
  expect((await accounts.find(EMAIL))?.id).toBe(account.id)
  await expect(source.refresh?.(kept, signal, keep)).rejects.toMatchObject({ failure: 'ended' })
})

test('a store that fails ends nothing', async () => {
  const { attempts, account } = await open()
  const broken = () => Promise.reject(new Error('disk'))
  const accounts = { ...createAccounts(memoryStore()), find: broken }
  const source = localSource({ issuer: ISSUER, accounts, attempts, routes: [] })
  const refreshed = source.refresh?.({ account: EMAIL, stamp: account.stamp }, signal, keep)
  await expect(refreshed).rejects.not.toMatchObject({ name: 'SourceError' })
})

test('of two who create an account one does', async () => {
  const { accounts } = await open()
  expect(await accounts.create(EMAIL, 'second')).toBe(false)
  expect((await accounts.find(EMAIL))?.hash).toBe('hash')
  expect(await accounts.setPassword('bob@example.com', 'hash')).toBe(false)
  expect(await accounts.remove('bob@example.com')).toBe(false)
  expect(await accounts.isEmpty()).toBe(false)
  expect(await accounts.remove(EMAIL)).toBe(true)
  expect(await accounts.isEmpty()).toBe(true)
})
