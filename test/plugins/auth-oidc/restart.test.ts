import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { atCallback } from '../../fixtures/oidc/browser.ts'
import { oidcEnv, ORIGIN } from '../../fixtures/oidc/proxy.ts'
import type { Tokens } from '../../fixtures/oidc/site.ts'
import { createStage, discreet } from '../../fixtures/oidc/stage.ts'

const stage = createStage()

test('a restart between consent and callback: the login goes on', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk({ until: atCallback })
  await proxy.restart()
  const response = await flow.browser.get(back.href)
  const tokens = (await (await proxy.redeem(flow, new URL(response.headers.get('location') ?? ''))).json()) as Tokens
  expect((await proxy.mcp({ client: flow.client, tokens })).status).toBe(200)
  discreet(proxy, idp)
})

test('a restart before consent is given, and one more before the provider is reached', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back: consent } = await proxy.walk({ until: ({ pathname }) => pathname === '/consent' })
  await proxy.restart()
  const page = await (await flow.browser.get(consent.href)).text()
  await proxy.restart()
  const fields = page.matchAll(/type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)
  const form = Object.fromEntries(Array.from(fields, ([, name, value]) => [name, value]))
  const approved = await flow.browser.submit(`${ORIGIN}/consent`, { ...form, action: 'approve' })
  expect(approved.status).toBe(303)
  expect(new URL(approved.headers.get('location') ?? '').origin).toBe(idp.origin)
})

test('a restart between callback and token: the code is still good', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const { flow, back } = await proxy.walk()
  await proxy.restart()
  const response = await proxy.redeem(flow, back)
  expect(response.status).toBe(200)
  const login = { client: flow.client, tokens: (await response.json()) as Tokens }
  expect((await proxy.mcp(login)).status).toBe(200)
  expect((await proxy.redeem(flow, back)).status).toBe(400)
})

test('restarts between refreshes: the provider’s newest token is what is used, and nobody is logged out', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  let login = await proxy.login()
  for (let times = 0; times < 3; times++) {
    await proxy.restart()
    expect((await proxy.mcp(login)).status).toBe(200)
    login = await proxy.renewed(login)
  }
  expect((await proxy.mcp(login)).status).toBe(200)
  expect(idp.count('token', 'refresh_token')).toBe(3)
})

test('a restart while the provider is down: logins go on, refreshes wait', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.login()
  await idp.down()
  await proxy.restart()
  expect((await proxy.mcp(login)).status).toBe(200)
  expect((await proxy.refresh(login)).status).toBe(503)
  await idp.up()
  await proxy.restart()
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
})

test('another client secret and another provider key set are no reason to log anybody out', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  const login = await proxy.login()
  idp.rotateSecret('provider-secret-canary-1')
  await idp.rotateKeys()
  await proxy.restart(oidcEnv(idp))
  expect((await proxy.mcp(login)).status).toBe(200)
  expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
})

test('two proxies with one secret and one store, under different addresses: tokens of one are nothing at the other', async () => {
  const there = 'https://mcp.example.net'
  const idp = await stage.provider([ORIGIN, there])
  const env = oidcEnv(idp, { MCP_SECRET: randomBytes(32).toString('base64url') })
  const proxy = await stage.proxy(idp, { env })
  const other = await stage.proxy(idp, { env, origin: there, dataDir: proxy.dataDir })
  const [mine, theirs] = [await proxy.login(), await other.login()]
  expect([(await proxy.mcp(mine)).status, (await other.mcp(theirs)).status]).toEqual([200, 200])
  const refused = [await proxy.mcp(theirs), await other.mcp(mine)]
  for (const response of refused) {
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
  }
  expect([(await proxy.mcp(mine)).status, (await other.mcp(theirs)).status]).toEqual([200, 200])
})

test('two proxies with one secret and stores of their own: neither token of one works at the other', async () => {
  const there = 'https://mcp.example.net'
  const idp = await stage.provider([ORIGIN, there])
  const env = oidcEnv(idp, { MCP_SECRET: randomBytes(32).toString('base64url') })
  const proxy = await stage.proxy(idp, { env })
  const other = await stage.proxy(idp, { env, origin: there })
  const [mine, theirs] = [await proxy.login(), await other.login()]
  const swapped = { client: theirs.client, tokens: mine.tokens }
  expect((await other.mcp(swapped)).status).toBe(401)
  expect((await other.refresh(swapped)).status).toBe(400)
  expect((await proxy.mcp(await proxy.renewed(mine))).status).toBe(200)
})
