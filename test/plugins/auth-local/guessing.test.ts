import { afterEach, expect, test } from 'vitest'
import { ORIGIN } from '../../fixtures/oauth/proxy.ts'
import { openBrowser } from '../../fixtures/oauth/browser.ts'
import { ALICE, PASSWORD, WRONG } from './client.ts'
import { from, openLocal, type LocalProxy } from './support.ts'

let proxy: LocalProxy
afterEach(() => proxy.close())

/** Tries a password in an attempt of its own, from an address of its own. */
async function guess(email: string, password: string, address: string): Promise<Response> {
  const attempt = await proxy.attempts.open({ state: 'state', callback: `${ORIGIN}/auth/callback` })
  return openBrowser(from(proxy.kernel, address), ORIGIN).submit('/login', { attempt, email, password })
}

test('a wrong password is asked for again; what was typed as e-mail is kept, the password is not', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const refused = await login.submit(ALICE, WRONG)
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toBeNull()
  const page = await refused.text()
  expect(page).toMatch(/<p[^>]*role="alert"[^>]*>E-mail or password is wrong\.<\/p>/)
  expect(page).toContain(`value="${ALICE}"`)
  expect(page).not.toContain(WRONG)
  expect(page).toMatch(/type="password"[^>]*autofocus/)
  expect((await proxy.toClient(login)).searchParams.get('code')).not.toBeNull()
})

test('whether there is such a user does not show', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const answers = []
  for (const email of [ALICE, 'nobody@example.com', 'no e-mail']) {
    const answer = await login.submit(email, WRONG)
    answers.push([answer.status, (await answer.text()).replace(email, 'E-MAIL')])
  }
  expect(answers[1]).toEqual(answers[0])
  expect(answers[2]).toEqual(answers[0])
})

test('what is typed is shown as text, whatever it is', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const page = await (await login.submit(`"><img src=x onerror=alert(1)>@example.com`, WRONG)).text()
  expect(page).not.toContain('<img')
  expect(page).toContain('&quot;&gt;&lt;img')
})

test.each([` ${ALICE} `, 'ALICE@EXAMPLE.COM'])('%j is the same user', async (email) => {
  proxy = await openLocal()
  expect((await proxy.toClient(await proxy.toLogin(), email)).searchParams.get('code')).not.toBeNull()
})

test.each([undefined, 'x'.repeat(5000), `${PASSWORD} `, PASSWORD.toUpperCase()])(
  'not the password, case %#',
  async (password) => {
    proxy = await openLocal()
    expect((await guess(ALICE, password ?? '', '203.0.113.1')).status).toBe(401)
  },
)

test('the fifth wrong password ends the attempt, the right one comes too late', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  for (let tried = 0; tried < 4; tried++) expect((await login.submit(ALICE, WRONG)).status).toBe(401)
  const burned = await login.submit(ALICE, WRONG)
  expect(burned.status).toBe(403)
  expect(await burned.text()).toContain('Start again from the program that sent you here')
  expect((await login.submit(ALICE, PASSWORD)).status).toBe(400)
  expect((await login.browser.get(login.url)).status).toBe(400)
})

test('many tries at once are no more than one after the other', async () => {
  proxy = await openLocal()
  const login = await proxy.toLogin()
  const tries = Array.from({ length: 9 }, () => login.submit(ALICE, WRONG))
  const statuses = (await Promise.all(tries)).map(({ status }) => status).toSorted((a, b) => a - b)
  expect(statuses).toEqual([400, 400, 400, 400, 401, 401, 401, 401, 403])
})

test('one address tries ten passwords for one user, then has to wait; others do not', async () => {
  proxy = await openLocal()
  for (let tried = 0; tried < 10; tried++) expect((await guess(ALICE, WRONG, '203.0.113.1')).status).toBe(401)
  const held = await guess(ALICE, PASSWORD, '203.0.113.1')
  expect(held.status).toBe(429)
  expect(Number(held.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(await held.text()).toContain('too many tries')
  expect((await guess('bob@example.com', WRONG, '203.0.113.1')).status).toBe(401)
  expect((await guess(ALICE, PASSWORD, '203.0.113.2')).status).toBe(303)
})

test('one address cannot ask for the page without end', async () => {
  proxy = await openLocal()
  const browser = openBrowser(from(proxy.kernel, '203.0.113.1'), ORIGIN)
  const statuses = new Set<number>()
  for (let asked = 0; asked < 300; asked++) statuses.add((await browser.get('/login?attempt=x')).status)
  expect([...statuses]).toEqual([400, 429])
})
