import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { resolveName } from '../../../../plugins/auth-oauth/cimd/resolve-name.ts'
import { openNameServer, type NameServer } from '../../../fixtures/oauth/name-server.ts'

let names: NameServer
beforeAll(async () => void (names = await openNameServer()))
afterEach(() => {
  names.replies.clear()
  names.asked.length = 0
})
afterAll(() => names.close())

const NAME = 'client.mcp-test.com'
const never = new AbortController().signal
const resolve = (name = NAME, signal = never) => resolveName(name, signal, names.servers)

test('T88 all addresses of a name are found, of both families, in one question each', async () => {
  names.replies.set(`A ${NAME}`, ['93.184.216.34', '10.0.0.1'])
  names.replies.set(`AAAA ${NAME}`, ['2606:2800:220:1::1', 'fd00::1'])
  expect(await resolve()).toEqual([
    { address: '93.184.216.34', family: 4 },
    { address: '10.0.0.1', family: 4 },
    { address: '2606:2800:220:1::1', family: 6 },
    { address: 'fd00::1', family: 6 },
  ])
  expect(names.asked.sort()).toEqual([`A ${NAME}`, `AAAA ${NAME}`])
})

test('T88 one family is enough', async () => {
  names.replies.set(`A ${NAME}`, ['93.184.216.34'])
  expect(await resolve()).toEqual([{ address: '93.184.216.34', family: 4 }])
  names.replies.set(`A ${NAME}`, [])
  names.replies.set(`AAAA ${NAME}`, ['2606:2800:220:1::1'])
  expect(await resolve()).toEqual([{ address: '2606:2800:220:1::1', family: 6 }])
  names.replies.set(`A ${NAME}`, ['93.184.216.34'])
  names.replies.set(`AAAA ${NAME}`, 'SERVFAIL')
  expect(await resolve()).toEqual([{ address: '93.184.216.34', family: 4 }])
})

test('T88 a name is asked for as it is: no search domain is added, no file read', async () => {
  await expect(resolve()).rejects.toMatchObject({ code: 'ENOTFOUND' })
  await expect(resolve('localhost.mcp-test.com')).rejects.toMatchObject({ code: 'ENOTFOUND' })
  expect(new Set(names.asked)).toEqual(
    new Set([`A ${NAME}`, `AAAA ${NAME}`, 'A localhost.mcp-test.com', 'AAAA localhost.mcp-test.com']),
  )
})

test('T89 a name server that is silent is called off with the signal, and nothing is asked when it is too late', async () => {
  names.replies.set(`A ${NAME}`, 'silence')
  names.replies.set(`AAAA ${NAME}`, 'silence')
  const end = new AbortController()
  const failure = resolve(NAME, end.signal).catch((error: NodeJS.ErrnoException) => error.code)
  await expect.poll(() => names.asked.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2)
  end.abort()
  expect(await failure).toBe('ECANCELLED')
  const before = names.asked.length
  await expect(resolve(NAME, end.signal)).rejects.toThrow(/aborted/)
  expect(names.asked.length).toBe(before)
})

test('T89 a name server that is silent is given up by itself', async () => {
  names.replies.set(`A ${NAME}`, 'silence')
  names.replies.set(`AAAA ${NAME}`, 'silence')
  await expect(resolve()).rejects.toMatchObject({ code: 'ETIMEOUT' })
})
