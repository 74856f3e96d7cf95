import { afterEach, expect, test } from 'vitest'
import { fieldsOf } from '../../fixtures/oauth/browser.ts'
import { codeFields, ORIGIN, type Tokens } from '../../fixtures/oauth/proxy.ts'
import { ALICE, PASSWORD, WRONG } from './client.ts'
import { openLocal, textsBelow, type LocalProxy } from './support.ts'

let proxy: LocalProxy
afterEach(() => proxy.close())

test('a whole login, from the request of a client to the use of its tokens', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  expect(login.url).toMatch(/^https:\/\/mcp\.example\.com\/login\?attempt=[\w-]{22}$/)

  const back = await login.submit(ALICE, PASSWORD)
  expect(back.status).toBe(303)
  const callback = new URL(back.headers.get('location') ?? '')
  expect(callback.href).toMatch(/^https:\/\/mcp\.example\.com\/auth\/callback\?state=[\w-]{43}&code=[\w-]{43}$/)

  const answer = await login.browser.get(callback.href)
  const client = new URL(answer.headers.get('location') ?? '')
  expect(Object.fromEntries(client.searchParams)).toMatchObject({ state: 'client-state', iss: ORIGIN })

  const response = await proxy.token(codeFields({ ...login, code: client.searchParams.get('code') ?? '' }))
  expect(response.status).toBe(200)
  const tokens = (await response.json()) as Tokens
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  const refreshed = await proxy.refresh({ client: login.client, tokens })
  expect(refreshed.status).toBe(200)
  expect((await proxy.mcp(((await refreshed.json()) as Tokens).access_token)).status).toBe(200)
  expect(proxy.log()).toContain(ALICE)
})

test('the page can be read and used without a script, by keyboard and by password managers', async () => {
  proxy = await openLocal()
  const { browser, url, page } = await proxy.toLogin()
  const shown = await browser.get(url)
  expect(shown.status).toBe(200)
  expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(shown.headers.get('content-security-policy')).not.toContain('script')
  expect(shown.headers.get('x-frame-options')).toBe('DENY')
  expect(shown.headers.get('cache-control')).toBe('no-store')
  expect(page).toMatch(/<label\s*>E-mail\s*<input[^>]*name="email"[^>]*autocomplete="username"[^>]*autofocus/)
  expect(page).toMatch(/<label\s*>Password\s*<input[^>]*type="password"[^>]*autocomplete="current-password"/)
  expect(page).toContain('This is the login of <strong>mcp.example.com</strong>')
  expect(page).not.toMatch(/<script|role="alert"/)
  expect(page.match(/autofocus/g)).toHaveLength(1)
})

test('a success is good for one return: neither the page nor its code can be used again', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const callback = (await login.submit(ALICE, PASSWORD)).headers.get('location') ?? ''
  expect((await login.browser.get(callback)).headers.get('location')).toMatch(/[?&]code=/)
  expect((await login.browser.get(callback)).status).toBe(400)

  const again = await login.submit(ALICE, PASSWORD)
  expect(again.status).toBe(400)
  expect(await again.text()).toContain('Start again from the program that sent you here')
})

test.each(['/login', '/login?attempt=', '/login?attempt=unknown', '/login?attempt=a&attempt=b'])(
  '%s is no login on its way',
  async (url) => {
    proxy = await openLocal()
    const shown = await proxy.browser().get(url)
    expect(shown.status).toBe(400)
    expect(shown.headers.get('content-type')).toContain('text/html')
    expect(shown.headers.get('location')).toBeNull()
  },
)

test('a login link opened in another browser gives nobody a code', async () => {
  proxy = await openLocal()
  const attacker = await proxy.toLogin()
  const victim = proxy.browser()
  const page = await (await victim.get(attacker.url)).text()
  const back = await victim.submit('/login', { ...fieldsOf(page), email: ALICE, password: PASSWORD })
  const callback = back.headers.get('location') ?? ''
  const refused = await victim.get(callback)
  expect(refused.status).toBe(403)
  expect(refused.headers.get('location')).toBeNull()
  // Nor can the one who began it make use of what the other one's browser was told.
  expect((await attacker.browser.get(callback)).status).toBe(400)
})

test('the code of one login is no good for another', async () => {
  proxy = await openLocal()
  const [mine, other] = [await proxy.toLogin(), await proxy.toLogin()]
  const proved = new URL((await other.submit(ALICE, PASSWORD)).headers.get('location') ?? '')
  const callback = new URL((await mine.submit(ALICE, PASSWORD)).headers.get('location') ?? '')
  callback.searchParams.set('code', proved.searchParams.get('code') ?? '')
  const client = new URL((await mine.browser.get(callback.href)).headers.get('location') ?? '')
  expect(client.searchParams.get('error')).toBe('access_denied')
  expect(client.searchParams.get('code')).toBeNull()
})

test.each<Record<string, string>>([
  { origin: 'https://evil.example' },
  { origin: 'null' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
])('a form of another site logs nobody in: %j', async (headers) => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const refused = await login.submit(ALICE, PASSWORD, headers)
  expect(refused.status).toBe(403)
  expect(refused.headers.get('location')).toBeNull()
  expect((await login.submit(ALICE, PASSWORD)).status).toBe(303)
})

test('who is not in users.json is told so by the client, in spite of the right password', async () => {
  proxy = await openLocal()
  await proxy.writeUsers({})
  const refused = async (): Promise<string | null> =>
    (await proxy.toClient(await proxy.toLogin())).searchParams.get('error')
  await expect.poll(refused, { timeout: 15_000, interval: 1000 }).toBe('access_denied')
})

test('no password reaches a log line or a file', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  await login.submit(ALICE, WRONG)
  // Typed into the wrong field.
  await login.submit(PASSWORD, PASSWORD)
  await proxy.tokens()
  await login.submit(ALICE, PASSWORD, { origin: 'https://evil.example' })
  expect(proxy.log()).toContain('login-failed')
  expect(proxy.log()).not.toContain('canary')

  const texts = await textsBelow(proxy.dataDir)
  expect(texts.length).toBeGreaterThan(2)
  for (const text of texts) expect(text).not.toMatch(/canary|\$scrypt\$/)
})
