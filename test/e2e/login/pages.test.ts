import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dispose } from '../../fixtures/cli/run.ts'
import { EVE } from '../../fixtures/oauth/walk.ts'
import { lacksChromium, NEEDS_CHROMIUM, openChromium, photograph } from '../support/chromium.ts'
import { openLoginProxy, type LoginProxy } from '../support/login-proxy.ts'

describe.skipIf(lacksChromium)(`the pages of a login (${NEEDS_CHROMIUM})`, () => {
  let proxy: LoginProxy
  let browser: Browser

  /** Where the client waits for its answer. */
  let client: string
  const server = createServer((_, response) => response.end('back at the client'))

  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    client = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    proxy = await openLoginProxy()
    browser = await openChromium()
  })
  afterAll(async () => {
    await browser?.close()
    server.close()
    server.closeAllConnections()
    await dispose()
  })

  const SCREENS = [
    ['a phone, light', { viewport: { width: 360, height: 740 }, colorScheme: 'light' }],
    ['a phone, dark', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' }],
    ['a desktop, light', { viewport: { width: 1280, height: 800 }, colorScheme: 'light' }],
    ['a desktop, dark', { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' }],
  ] as const satisfies [string, BrowserContextOptions][]

  /** A page of a browser of its own, and what went wrong or was asked for in it. */
  async function open(options: BrowserContextOptions = {}) {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    const hosts = new Set<string>()
    page.on('request', (request) => hosts.add(new URL(request.url()).host))
    return { context, page, complaints, hosts }
  }

  async function register(more: object = {}): Promise<{ id: string; uri: string }> {
    const uri = `${client}/callback`
    const metadata = { client_name: 'Claude', redirect_uris: [uri], token_endpoint_auth_method: 'none', ...more }
    const response = await fetch(`${proxy.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    })
    const { client_id: id, redirect_uris } = (await response.json()) as any
    return { id, uri: redirect_uris[0] }
  }

  async function authorizationFor(more: object = {}): Promise<string> {
    const { id, uri } = await register(more)
    const challenge = createHash('sha256').update(randomBytes(32)).digest('base64url')
    const query = {
      response_type: 'code',
      client_id: id,
      redirect_uri: uri,
      state: 'xyz',
      scope: 'mcp:use offline_access',
    }
    const pkce = { code_challenge: challenge, code_challenge_method: 'S256' }
    return `${proxy.issuer}/authorize?${new URLSearchParams({ ...query, ...pkce }).toString()}`
  }

  /** Where the browser is sent in the end: the client's address. */
  async function redirectOf(page: Page, act: () => Promise<unknown>): Promise<URL> {
    await act()
    await page.waitForURL(`${client}/callback?**`)
    return new URL(page.url())
  }

  /** Everything fits, is big enough to be hit, and can be read. */
  async function expectReadable(page: Page): Promise<void> {
    const found = await page.evaluate(`(() => {
      const luminance = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
      }
      const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
          const colour = getComputedStyle(at).backgroundColor
          if (!/, 0\\)$|transparent/.test(colour)) return colour
        }
        return 'rgb(255, 255, 255)'
      }
      const texts = [...document.querySelectorAll('h1, p, dt, dd, li, label, button, .tag')]
      const contrast = texts.map((node) => {
        const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((x, y) => y - x)
        return { text: node.textContent.trim().slice(0, 40), ratio: (a + 0.05) / (b + 0.05) }
      })
      const targets = [...document.querySelectorAll('button, input:not([type=hidden])')].map((node) => node.getBoundingClientRect().height)
      return {
        wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        faint: contrast.filter(({ ratio }) => ratio < 4.5),
        small: targets.filter((height) => height < 40),
        scripts: document.scripts.length,
        language: document.documentElement.lang,
        unlabelled: [...document.querySelectorAll('input:not([type=hidden])')].filter((node) => node.labels.length === 0).length,
      }
    })()`)
    expect(found).toEqual({ wide: 0, faint: [], small: [], scripts: 0, language: 'en', unlabelled: 0 })
  }

  test.each(SCREENS)(
    'on %s: consent, login and a wrong password are clear, and lead back to the client',
    async (name, options) => {
      const { context, page, complaints, hosts } = await open(options)
      const shot = (what: string) => photograph(page, `${what}, ${name}`)
      await page.goto(await authorizationFor())
      expect(await page.title()).toBe('Connect Claude?')
      const consent = await page.textContent('main')
      expect(consent).toMatch(/“Claude” wants to connect to MCP Proxy Server/)
      expect(consent).toMatch(/name not verified/)
      expect(consent).toMatch(/127\.0\.0\.1 – a program on this computer/)
      expect(consent).toContain(`Use, in your name, every tool that you may use at ${proxy.url}`)
      await expectReadable(page)
      await shot('consent')
      await page.getByRole('button', { name: 'Allow and log in' }).click()

      await page.getByLabel('E-mail').fill(EVE.email)
      await page.getByLabel('Password').fill('not the password at all')
      await expectReadable(page)
      await shot('login')
      await page.getByRole('button', { name: 'Log in' }).click()
      expect(await page.getByRole('alert').textContent()).toBe('E-mail or password is wrong.')
      expect(await page.getByLabel('E-mail').inputValue()).toBe(EVE.email)
      expect(await page.getByLabel('Password').inputValue()).toBe('')
      await expectReadable(page)
      await shot('login, wrong password')
      await page.getByLabel('Password').fill(EVE.password)
      const back = await redirectOf(page, () => page.getByRole('button', { name: 'Log in' }).click())
      expect(back.searchParams.get('state')).toBe('xyz')
      expect(back.searchParams.get('iss')).toBe(proxy.issuer)
      expect(back.searchParams.get('code')).toMatch(/^[\w-]{43}$/)
      // Chromium notes a wrong password's 401, and that somebody was faster than the autofocus; nothing else may be complained of.
      expect(complaints.filter((text) => !/401|Autofocus/.test(text))).toEqual([])
      expect([...hosts]).toEqual([new URL(proxy.issuer).host, new URL(client).host])
      await context.close()
    },
  )

  test('works without scripts and with the keyboard alone', async () => {
    const { context, page } = await open({ javaScriptEnabled: false })
    await page.goto(await authorizationFor())
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByLabel('E-mail').waitFor()
    // The first field has the focus already.
    await page.keyboard.type(EVE.email)
    await page.keyboard.press('Tab')
    await page.keyboard.type(EVE.password)
    const back = await redirectOf(page, () => page.keyboard.press('Enter'))
    expect(back.searchParams.get('code')).toMatch(/^[\w-]{43}$/)
    await context.close()
  })

  test('the focus is seen, and goes from yes to no', async () => {
    const { context, page } = await open()
    await page.goto(await authorizationFor())
    const focused = () =>
      page.evaluate(
        `[document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]`,
      )
    await page.keyboard.press('Tab')
    expect(await focused()).toEqual(['Allow and log in', 'solid'])
    await page.keyboard.press('Tab')
    expect(await focused()).toEqual(['Deny', 'solid'])
    await context.close()
  })

  test('deny: the client hears of it, and going back decides nothing anew', async () => {
    const { context, page } = await open()
    await page.goto(await authorizationFor())
    const consent = page.url()
    const back = await redirectOf(page, () => page.getByRole('button', { name: 'Deny' }).click())
    expect(Object.fromEntries(back.searchParams)).toMatchObject({
      error: 'access_denied',
      state: 'xyz',
      iss: proxy.issuer,
    })
    await page.goto(consent)
    expect(await page.textContent('main')).toMatch(/decided already/)
    await photograph(page, 'decided already')
    await context.close()
  })

  test('two tabs, two clients: each comes to its own end', async () => {
    const { context, page } = await open()
    const other = await context.newPage()
    await page.goto(await authorizationFor({ client_name: 'First' }))
    await other.goto(await authorizationFor({ client_name: 'Second' }))
    await page.getByRole('button', { name: 'Allow and log in' }).click()
    await other.getByRole('button', { name: 'Allow and log in' }).click()
    const codes: (string | null)[] = []
    for (const tab of [other, page]) {
      await tab.getByLabel('E-mail').fill(EVE.email)
      await tab.getByLabel('Password').fill(EVE.password)
      const back = await redirectOf(tab, () => tab.getByRole('button', { name: 'Log in' }).click())
      codes.push(back.searchParams.get('code'))
    }
    expect(new Set(codes).size).toBe(2)
    expect(codes).not.toContain(null)
    await context.close()
  })

  test.each([
    ['an app of this device', 'cursor://anysphere.cursor-mcp/oauth/callback', /an app on this device \(cursor:\/\/\)/],
    ['a web site', 'https://claude.ai/api/mcp/auth_callback', /claude\.ai/],
  ])('says in plain words where the answer goes: %s', async (name, uri, words) => {
    const { context, page } = await open({ viewport: { width: 360, height: 740 } })
    await page.goto(await authorizationFor({ redirect_uris: [uri] }))
    expect(await page.textContent('main')).toMatch(words)
    await expectReadable(page)
    await photograph(page, `consent, ${name}`)
    await context.close()
  })

  test('a hostile name is text and nothing else, and breaks no layout', async () => {
    const { context, page, complaints } = await open({ viewport: { width: 360, height: 740 } })
    const client_name = `"><img src=x onerror=alert(1)><script>alert(2)</script>\u202E${'W'.repeat(400)}`
    await page.goto(await authorizationFor({ client_name }))
    expect(await page.locator('img, script').count()).toBe(0)
    expect(await page.textContent('h1')).toContain('"><img src=x onerror=alert(1)>')
    expect(await page.textContent('h1')).not.toContain('\u202E')
    await expectReadable(page)
    await photograph(page, 'consent, a hostile name')
    expect(complaints).toEqual([])
    await context.close()
  })

  test('a request that cannot go on says what to do', async () => {
    const { context, page } = await open({ viewport: { width: 360, height: 740 } })
    await page.goto(`${proxy.issuer}/authorize?client_id=mcp_unknown`)
    expect(await page.textContent('main')).toMatch(/registration may have expired.*add it again/s)
    await expectReadable(page)
    await photograph(page, 'unknown client')
    await context.close()
  })

  test('the pages come with the headers that guard them', async () => {
    const { context, page } = await open()
    const response = await page.goto(await authorizationFor())
    const headers = (await response?.allHeaders()) ?? {}
    expect(headers).toMatchObject({
      'content-security-policy': expect.stringMatching(
        /^default-src 'none'; style-src 'sha256-[^']+'; img-src 'none'; base-uri 'none'; frame-ancestors 'none'$/,
      ),
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    expect(headers['access-control-allow-origin']).toBeUndefined()
    await context.close()
  })
})
