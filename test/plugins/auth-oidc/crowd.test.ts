import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import type { Plugin } from '../../../core/plugin.ts'
import { memoryDriver } from '../../../core/store/memory.ts'
import { oidcEnv } from '../../fixtures/oidc/proxy.ts'
import { createStage } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

const LOGINS = 1000
const AT_ONCE = 50

test('a thousand people log in, fifty at a time: everybody once, everybody as themselves', async () => {
  const people = Array.from({ length: LOGINS }, (_, index) => `user${index}`)
  const user = { roles: [], allowed_tools: ['*'] }
  const users = Object.fromEntries(people.map((name) => [`${name}@example.com`, { name, ...user }]))
  const idp = await stage.provider()
  // Storage is tested elsewhere, and a shared disk would be all that this test waits for.
  const storage: Plugin = { name: 'storage-memory', setup: () => ({ storage: memoryDriver() }) }
  const config = { plugins: [storage, 'access-users'] }
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp, { MCP_SECRET: 'x'.repeat(32) }), config, users })
  const queue = people.values()
  const logins = new Map<string, Awaited<ReturnType<typeof proxy.login>>>()
  async function one(): Promise<void> {
    for (const account of queue) logins.set(account, await proxy.login({ account }))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  expect(logins.size).toBe(LOGINS)

  // Who logged in through which client, as the operator sees it, against who it was.
  const lines = proxy.said(/^logged in/, 'info').map(({ text }) => JSON.parse(text.slice(text.indexOf('{'))))
  expect(lines).toHaveLength(LOGINS)
  const seen = new Map(lines.map(({ client, user: email, login }) => [client, { email, login }]))
  const subjects = new Set<string>()
  for (const [account, { client, tokens }] of logins) {
    const { sub = '', gid } = decodeJwt(tokens.access_token)
    expect(seen.get(client.client_id)).toEqual({ email: `${account}@example.com`, login: gid })
    subjects.add(sub)
  }
  expect(subjects.size).toBe(LOGINS)
  expect(idp.count('token', 'authorization_code')).toBe(LOGINS)
  expect(idp.count('jwks')).toBe(1)
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])

  const some = [...logins.values()].filter((_, index) => index % 50 === 0)
  const answers = await Promise.all(some.map(async (login) => (await proxy.mcp(await proxy.renewed(login))).status))
  expect(answers).toEqual(some.map(() => 200))
}, 120_000)
