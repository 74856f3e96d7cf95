import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { createKernel } from '../../../core/kernel.ts'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { memoryDriver } from '../../../core/store/memory.ts'
import { codeFields, openOAuth, USERS, type OAuthProxy } from '../../fixtures/oauth/proxy.ts'
import { diskError, riggedStorage } from '../../fixtures/oauth/rigged.ts'
import { ALICE, ISSUER } from '../../fixtures/oauth/source.ts'
import { captureLog, ROOT } from '../../harness.ts'

let proxy: OAuthProxy | undefined
afterEach(async () => {
  vi.useRealTimers()
  await proxy?.close()
  proxy = undefined
})

test('what plugins have stored and nobody asks for again is removed', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
  const driver = memoryDriver()
  proxy = await openOAuth({ storage: { name: 'storage-seen', setup: () => ({ storage: driver }) } })
  const client = await proxy.register()
  for (let asked = 0; asked < 5; asked++) await proxy.browser().get(proxy.request(client).url)
  const left = async (): Promise<number> =>
    (await driver.getKeys('', {})).filter((key) => key.startsWith('plugin-')).length
  expect(await left()).toBe(6)
  vi.setSystemTime(Date.now() + 2 * 86_400_000)
  await vi.advanceTimersByTimeAsync(3_600_000)
  vi.useRealTimers()
  await vi.waitFor(async () => expect(await left()).toBe(0))
})

test('a login plugin without anything that says who may is refused', async () => {
  const plugins = ['storage-fs', 'auth-local']
  const config = resolveConfig(
    { plugins, dataDir: '/nonexistent' },
    { rootDir: ROOT, env: { MCP_SECRET: 'x'.repeat(32) } },
  )
  await expect(createKernel(config, { logger: captureLog().logger })).rejects.toMatchObject({
    code: 'ERR_PROXY_CONFIG',
    message: expect.stringMatching(/"auth-local" logs people in.*access-users/),
  })
})

test('taken off the list while the proxy was down, and put back later: the old login is over', async () => {
  proxy = await openOAuth()
  const { client, tokens } = await proxy.tokens()
  const file = join(proxy.dataDir, 'users.json')
  await writeFile(file, '{}')
  await proxy.restart()
  const ended = () => proxy?.lines.some(({ text }) => text.includes('login ended: the user is not on the list'))
  proxy.kernel.start()
  await vi.waitFor(() => expect(ended()).toBe(true))
  await writeFile(file, JSON.stringify(USERS))
  await proxy.restart()
  expect((await proxy.mcp(tokens.access_token)).status).toBe(401)
  expect((await proxy.refresh(client, tokens.refresh_token)).status).toBe(400)
})

test('a disk that cannot be written: a user who was taken off gets 401 all the same, and a login goes back to its client', async () => {
  const rigged = riggedStorage()
  proxy = await openOAuth({ storage: rigged.plugin })
  const { tokens } = await proxy.tokens()
  const client = await proxy.register()
  const browser = proxy.browser()
  const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
  const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
  const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state')
  rigged.before = ({ what, key }) => {
    if (what === 'write' && !key.includes(':departure:')) throw diskError()
  }
  const back = await browser.get(`/auth/callback?state=${state}&code=x`)
  const answer = new URL(back.headers.get('location') ?? '')
  expect(answer.searchParams.get('error')).toBe('temporarily_unavailable')
  await writeFile(join(proxy.dataDir, 'users.json'), '{}')
  await vi.waitFor(async () => expect((await proxy?.mcp(tokens.access_token))?.status).toBe(401), 10_000)
  rigged.before = undefined
})

test('an address is nobody’s any more when its last login is long ago', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  proxy = await openOAuth({ options: { pinSub: true, loginLife: 3_600_000, idleLife: 3_600_000 } })
  await proxy.tokens()
  const other = { ...ALICE.identity, issuer: ISSUER, subject: 'idp|another' }
  proxy.source.who = () => ({ ...ALICE, identity: other })
  const client = await proxy.register()
  const refused = await proxy.toClient(proxy.browser(), proxy.request(client).url)
  expect(refused.searchParams.get('error')).toBe('access_denied')
  vi.setSystemTime(Date.now() + 3_700_000)
  const login = await proxy.login(await proxy.register())
  expect((await proxy.token(codeFields(login))).status).toBe(200)
})
