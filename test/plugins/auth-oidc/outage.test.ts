import { expect, test } from 'vitest'
import { DeadEnd } from '../../fixtures/oidc/browser.ts'
import { USERS } from '../../fixtures/oidc/proxy.ts'
import { createStage, refused } from '../../fixtures/oidc/stage.ts'

const stage = createStage()
const MINUTE = 60_000

test('the provider is down for an hour under traffic: no login ends, and everything goes on by itself afterwards', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  const logins = await Promise.all(
    Array.from({ length: 6 }, (_, index) => proxy.login({ account: index % 2 ? 'alice' : 'bob' })),
  )
  const asked = idp.asked.length
  await idp.down()

  for (let minute = 0; minute < 60; minute += 5) {
    for (const response of await Promise.all(logins.map((login) => proxy.mcp(login)))) expect(response.status).toBe(200)
    for (const response of await Promise.all(logins.map((login) => proxy.refresh(login)))) {
      expect(response.status).toBe(503)
      expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
      expect(await response.json()).toMatchObject({ error: 'temporarily_unavailable' })
    }
    const { flow, back } = await proxy.walk()
    refused(flow, back, 'temporarily_unavailable')
    proxy.pass(5 * MINUTE)
  }

  // An hour is what our tokens live: those end, the logins do not.
  for (const login of logins) expect((await proxy.mcp(login)).status).toBe(401)
  expect(proxy.said(/^login ended/)).toEqual([])
  expect(idp.asked).toHaveLength(asked)
  expect(proxy.said(/it cannot be reached \(ECONNREFUSED\)/, 'warn').length).toBeGreaterThan(0)

  await idp.up()
  const renewed = await Promise.all(logins.map((login) => proxy.renewed(login)))
  for (const login of renewed) expect((await proxy.mcp(login)).status).toBe(200)
  expect(idp.count('token', 'refresh_token')).toBe(logins.length)
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('the provider goes down while somebody is there: temporarily_unavailable, and the next login works', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  await proxy.login()
  const { flow, back } = await proxy.walk({ until: ({ pathname }) => pathname === '/auth/callback' })
  await idp.down()
  const response = await flow.browser.get(back.href)
  refused(flow, new URL(response.headers.get('location') ?? ''), 'temporarily_unavailable')

  // It is known now: whoever comes next is told at once, rather than sent to where nobody answers.
  const next = await proxy.walk()
  refused(next.flow, next.back, 'temporarily_unavailable')
  await idp.up()
  proxy.pass(5001)
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('a provider that answered 500 last is asked for its metadata before anybody is sent there', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  const login = await proxy.login()
  const sent = idp.count('authorization')
  idp.failNext(1, 500, 'token')
  idp.failNext(1, 500, 'discovery')
  expect((await proxy.refresh(login)).status).toBe(503)
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'temporarily_unavailable')
  expect(idp.count('authorization')).toBe(sent)
  proxy.pass(5001)
  await proxy.login()
  await proxy.login()
  // Well again, it is no longer asked each time.
  expect(idp.count('discovery')).toBe(3)
})

test('a provider nobody knows to be down is found out by the first who goes there', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {} })
  const login = await proxy.login()
  await idp.down()
  const walking = proxy.walk().catch((error: unknown) => error)
  // The browser's own page: this proxy has done what it could.
  expect(await walking).toMatchObject({ message: 'fetch failed' })
  expect((await proxy.mcp(login)).status).toBe(200)
  await idp.up()
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  expect(await walking).not.toBeInstanceOf(DeadEnd)
})

for (const status of [500, 503, 429]) {
  test(`the provider answers ${status} for a while: refreshes get 503, the same tokens work afterwards`, async () => {
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { settings: {} })
    const logins = [await proxy.login(), await proxy.login({ account: 'bob' })]
    idp.failNext(4, status)
    for (let round = 0; round < 2; round++) {
      for (const login of logins) expect((await proxy.refresh(login)).status).toBe(503)
      proxy.pass(MINUTE)
    }
    for (const login of logins) expect((await proxy.mcp(await proxy.renewed(login))).status).toBe(200)
    expect(proxy.said(new RegExp(`answered ${status}`), 'warn')).toHaveLength(4)
  })
}

test('logins that began before an outage end as they should have after it', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { settings: {}, users: USERS })
  const flows = await Promise.all(
    ['alice', 'bob'].map((account) => proxy.walk({ account, until: ({ pathname }) => pathname === '/auth/callback' })),
  )
  await idp.down()
  proxy.pass(5 * MINUTE)
  await idp.up()
  for (const { flow, back } of flows) {
    const response = await flow.browser.get(back.href)
    const redeemed = await proxy.redeem(flow, new URL(response.headers.get('location') ?? ''))
    expect(redeemed.status).toBe(200)
  }
})
