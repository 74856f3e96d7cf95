import { expect, test } from 'vitest'
import { memoryStore } from '../../../core/store.ts'
import { createAccounts } from '../../../plugins/auth-local/accounts.ts'
import { createAttempts } from '../../../plugins/auth-local/attempts.ts'
import { loginEndpoint } from '../../../plugins/auth-local/login.ts'
import { captureLog } from '../../harness.ts'

test('when too many wait, the page says so and costs no try', async () => {
  const store = memoryStore()
  const attempts = createAttempts(store)
  const held: (() => void)[] = []
  // Whoever is looked up is held until we let go.
  const find = () => new Promise<undefined>((resolve) => held.push(() => resolve(undefined)))
  const config = { baseUrl: 'https://mcp.example.com' } as never
  const context = { config, logger: captureLog().logger, userLabel: () => 'somebody' }
  const accounts = { ...createAccounts(store), find }
  const turns = { atOnce: 1, waiting: 1 }
  const login = loginEndpoint({ context, accounts, attempts, name: 'Test', turns })

  const attempt = await attempts.open({ state: 'state', callback: 'https://mcp.example.com/auth/callback' })
  const send = async (user: number): Promise<Response> => {
    const fields = { attempt, email: `user${user}@example.com`, password: 'wrong' }
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const init = { method: 'POST', headers, body: new URLSearchParams(fields).toString() }
    return login.handler(new Request('https://mcp.example.com/login', init), {})
  }
  const all = [1, 2, 3].map((user) => send(user))
  const busy = await Promise.race(all)
  expect(busy.status).toBe(503)
  expect(busy.headers.get('retry-after')).toBe('2')
  const page = await busy.text()
  expect(page).toMatch(/role="alert">Too many people/)
  expect(page).toMatch(/value="user\d@example\.com"/)

  for (let waiting = 0; waiting < 2; waiting++) {
    await expect.poll(() => held.length).toBe(1)
    held.pop()?.()
  }
  const statuses = (await Promise.all(all)).map(({ status }) => status)
  expect(statuses.toSorted((a, b) => a - b)).toEqual([401, 401, 503])
  expect((await attempts.find(attempt))?.tries).toBe(2)
})
