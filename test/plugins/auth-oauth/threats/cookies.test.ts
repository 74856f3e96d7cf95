import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createKeys } from '../../../../core/keys.ts'
import { createFlowCookie } from '../../../../plugins/auth-oauth/cookies.ts'
import { siteOf } from '../../../../plugins/auth-oauth/site.ts'
import { handedBack, refusalPage } from '../../../fixtures/oauth/answers.ts'
import { fieldsOf, openBrowser, type Browser } from '../../../fixtures/oauth/browser.ts'
import { CALLBACK, openOAuth, ORIGIN, type OAuthProxy, type Registered } from '../../../fixtures/oauth/proxy.ts'

const SECRET = 'the secret of this deployment: long'
const OTHER = 'the secret of another deployment: long'

let proxy: OAuthProxy
let client: Registered
beforeEach(async () => {
  proxy = await openOAuth({ config: { secret: SECRET } })
  client = await proxy.register()
})
afterEach(() => proxy.close())

/** A browser at the consent page, its cookie, and how to answer with whatever Cookie header. */
async function atConsent() {
  const browser = proxy.browser()
  const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
  const [[name, value]] = [...browser.cookies] as [[string, string]]
  const send = (cookie: string, more: Record<string, string> = {}) =>
    proxy.browser().submit('/consent', { ...fields, ...more, action: 'approve' }, { cookie })
  return { browser, fields, name, value, send }
}

/** A browser at the identity source, its cookie, and how to come back with whatever Cookie header. */
async function atSource() {
  const { browser, fields } = await atConsent()
  const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
  const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
  const [[name, value]] = [...browser.cookies] as [[string, string]]
  const send = (cookie: string) => proxy.browser().get(`/auth/callback?state=${state}&code=x`, { cookie })
  return { browser, state, name, value, send }
}

const flipped = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
const setCookies = (response: Response) => response.headers.getSetCookie()

/** What somebody who cannot read the cookie may have got into the browser in its place: from a sub-domain, over http, by hand. */
const wrong: [string, (name: string, value: string) => string][] = [
  ['none', () => ''],
  ['an empty value', (name) => `${name}=`],
  ['no value', (name) => name],
  ['another value', (name, value) => `${name}=${flipped(value)}`],
  ['the value cut short', (name, value) => `${name}=${value.slice(0, -1)}`],
  ['the value with more after it', (name, value) => `${name}=${value}A`],
  ['the value in quotes', (name, value) => `${name}="${value}"`],
  ['the value, encoded', (name, value) => `${name}=%${value.charCodeAt(0).toString(16)}${value.slice(1)}`],
  ['the value of 5 kB', (name, value) => `${name}=${value}${'A'.repeat(5000)}`],
  ['the right one and another one after it', (name, value) => `${name}=${value}; ${name}=${flipped(value)}`],
  ['the right one and another one before it', (name, value) => `${name}=${flipped(value)}; ${name}=${value}`],
  ['the right one and an empty one', (name, value) => `${name}=${value}; ${name}=`],
  ['the right one twice', (name, value) => `${name}=${value}; ${name}=${value}`],
  ['the name without its prefix', (name, value) => `${name.replace('__Host-', '')}=${value}`],
  ['the name with __Secure-', (name, value) => `${name.replace('__Host-', '__Secure-')}=${value}`],
  ['the name in lower case', (name, value) => `${name.toLowerCase()}=${value}`],
  ['the name in capitals', (name, value) => `${name.toUpperCase()}=${value}`],
  ['the name, encoded', (name, value) => `${name.replace('__Host-', '%5F%5FHost-')}=${value}`],
  ['the name of another flow', (name, value) => `${flippedEnd(name)}=${value}`],
  ['the right one within another', (name, value) => `x="${name}=${value}"`],
  ['the right one after a comma', (name, value) => `x=1, ${name}=${value}`],
  ['more than 16 kB', (name, value) => `${name}=${value}; x=${'A'.repeat(16_384)}`],
]
const flippedEnd = (text: string) => text.slice(0, -1) + (text.endsWith('A') ? 'B' : 'A')

describe('the cookie of the form', () => {
  test('T97 only this host may set and read it, only our own pages send it, and not for long', async () => {
    const browser = proxy.browser()
    const authorized = await browser.get(proxy.request(client).url)
    expect(setCookies(authorized)).toEqual([])
    const shown = [0, 1].map(() => browser.get(authorized.headers.get('location') ?? ''))
    const lines = (await Promise.all(shown)).flatMap(setCookies)
    const form = /^(__Host-mcpc_[\w-]{12})=([\w-]{43}); Path=\/; Max-Age=900; HttpOnly; SameSite=Strict; Secure$/
    const parts = lines.map((line) => form.exec(line))
    expect(parts.map((part) => part?.[1])).toEqual([parts[0]?.[1], parts[0]?.[1]])
    expect(parts[0]?.[1]).toBeDefined()
    expect(parts[0]?.[2]).not.toBe(parts[1]?.[2])
  })

  test.each(wrong)('T97 %s: 403, and the right one is as good as before', async (_, cookieOf) => {
    const { browser, fields, name, value, send } = await atConsent()
    await refusalPage(await send(cookieOf(name, value)), 403)
    expect(proxy.source.asked).toEqual([])
    expect((await browser.submit('/consent', { ...fields, action: 'approve' })).status).toBe(303)
  })

  test('T97 it is gone once something was decided', async () => {
    for (const action of ['approve', 'deny']) {
      const { browser, fields, name } = await atConsent()
      const decided = await browser.submit('/consent', { ...fields, action })
      expect(setCookies(decided)[0]).toBe(`${name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure`)
      expect(browser.cookies.has(name)).toBe(false)
    }
  })

  test('T97 with cookie and csrf of another deployment: 403; made with our secret they would do', async () => {
    const { fields, name, send } = await atConsent()
    const id = fields['authorization'] ?? ''
    const cookie = 'a'.repeat(43)
    const csrfOf = (secret: string) => createKeys([secret]).mac('csrf', JSON.stringify(['consent', id, cookie]))
    await refusalPage(await send(`${name}=${cookie}`, { csrf: csrfOf(OTHER) }), 403)
    expect((await send(`${name}=${cookie}`, { csrf: csrfOf(SECRET) })).status).toBe(303)
  })

  test('T97 a form goes on when the secret is replaced and the old one still in the ring', async () => {
    const { browser, fields } = await atConsent()
    await proxy.restart({ config: { secret: `${OTHER},${SECRET}` } })
    expect((await browser.submit('/consent', { ...fields, action: 'approve' })).status).toBe(303)
  })

  test('T97 a whole form of another deployment, its request unknown here: refused', async () => {
    const other = await openOAuth({ config: { secret: OTHER } })
    try {
      const there = other.browser()
      const { fields } = await other.toConsent(there, other.request(await other.register()).url)
      const cookie = [...there.cookies].map((pair) => pair.join('=')).join('; ')
      await refusalPage(await proxy.browser().submit('/consent', { ...fields, action: 'approve' }, { cookie }), 403)
      expect(proxy.source.asked).toEqual([])
    } finally {
      await other.close()
    }
  })
})

describe('the cookie of the login', () => {
  test('T97 only this host may set and read it, and it comes with the browser’s return', async () => {
    const { browser, fields, name: form } = await atConsent()
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    const [cleared = '', set = '', ...more] = setCookies(approved)
    expect(more).toEqual([])
    expect(cleared.startsWith(`${form}=;`)).toBe(true)
    expect(set).toMatch(/^__Host-mcpb_[\w-]{12}=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/)
    // It tells nothing of the state, nor the state of it.
    const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
    expect(set).not.toContain(state)
    const [, value = ''] = /=([\w-]{43});/.exec(set) ?? []
    expect(approved.headers.get('location')).not.toContain(value)
  })

  test.each(wrong)('T97 %s: 403, and the state is burned', async (_, cookieOf) => {
    const { browser, name, value, send, state } = await atSource()
    await refusalPage(await send(cookieOf(name, value)), 403)
    await refusalPage(await browser.get(`/auth/callback?state=${state}&code=x`))
    expect(proxy.source.asked.filter(({ what }) => what === 'finish')).toEqual([])
  })

  test('T97 the cookie of the form is none of the login', async () => {
    const { browser, fields, value: form } = await atConsent()
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const [name = ''] = browser.cookies.keys()
    const back = await proxy.browser().get(`/auth/callback?state=${state}&code=x`, { cookie: `${name}=${form}` })
    await refusalPage(back, 403)
  })

  test('T97 it is gone after the return, whatever came of it', async () => {
    for (const who of [proxy.source.who, () => Promise.reject(new Error('down'))]) {
      proxy.source.who = who
      const { browser, name, state } = await atSource()
      const back = await browser.get(`/auth/callback?state=${state}&code=x`)
      expect(back.status).toBe(303)
      expect(setCookies(back)).toEqual([`${name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure`])
      expect(browser.cookies.size).toBe(0)
    }
  })

  test('T97 that of another deployment: 403', async () => {
    const other = await openOAuth({ config: { secret: SECRET } })
    try {
      const there = other.browser()
      const { fields } = await other.toConsent(there, other.request(await other.register()).url)
      await there.submit('/consent', { ...fields, action: 'approve' })
      const [value = ''] = there.cookies.values()
      const { name, send } = await atSource()
      await refusalPage(await send(`${name}=${value}`), 403)
    } finally {
      await other.close()
    }
  })
})

describe('a browser full of cookies', () => {
  /** What a sub-domain can set for all of them: every name but one with `__Host-`. */
  const toss = (browser: Browser, names: readonly string[]) => {
    for (let count = 0; count < 50; count++) browser.cookies.set(`tossed${count}`, 'x'.repeat(100))
    for (const name of names) browser.cookies.set(name.replace('__Host-', ''), 'evil')
  }

  test('T97 50 cookies tossed from a sub-domain are ignored: the flow goes on', async () => {
    const browser = proxy.browser()
    toss(browser, [])
    const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
    toss(browser, [...browser.cookies.keys()])
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    expect(approved.status).toBe(303)
    toss(browser, [...browser.cookies.keys()])
    const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const back = handedBack(await browser.get(`/auth/callback?state=${state}&code=x`), CALLBACK)
    expect(back['code']).toBeDefined()
    // Ours are gone, theirs were left alone.
    expect([...browser.cookies.keys()].filter((name) => name.startsWith('__Host-'))).toEqual([])
  })

  test('T97 whatever else is in the header: the one value of the one cookie, or none', () => {
    const cookie = createFlowCookie(siteOf({ baseUrl: ORIGIN, mcpPath: '/mcp' }), 'mcpx', 'Lax')
    const [, line] = cookie.set('flow', 'value', 1000)
    const [name = ''] = line.split('=')
    const names = fc.constantFrom(
      name,
      name.toLowerCase(),
      name.replace('__Host-', ''),
      `x${name}`,
      `${name}x`,
      'x',
      '',
      '__proto__',
    )
    const values = fc.constantFrom('value', '', 'a=b', '"value"', 'x y', '=', name, `${name}=value`)
    fc.assert(
      fc.property(fc.array(fc.tuple(names, values, fc.boolean()), { maxLength: 5 }), (pairs) => {
        const text = pairs.map(([key, value, spaced]) => (spaced ? ` ${key}=${value} ` : `${key}=${value}`)).join(';')
        const request = new Request(ORIGIN, { headers: { cookie: text } })
        const ours = pairs.filter(([key]) => key === name)
        const only = ours.length === 1 ? ours[0]?.[1] : undefined
        expect(cookie.read(request, 'flow')).toBe(only === '' ? undefined : only)
        expect(cookie.read(request, 'another flow')).toBeUndefined()
      }),
      { numRuns: 1000 },
    )
  })

  test('T97 what programs use sets no cookie and reads none', async () => {
    const cookie = 'session=evil; access_token=evil'
    for (const [path, method] of [
      ['/mcp', 'POST'],
      ['/token', 'POST'],
      ['/register', 'POST'],
      ['/revoke', 'POST'],
      ['/.well-known/oauth-authorization-server', 'GET'],
      ['/.well-known/oauth-protected-resource/mcp', 'GET'],
    ] as const) {
      const response = await proxy.fetch(`${ORIGIN}${path}`, { method, headers: { cookie } })
      expect(setCookies(response)).toEqual([])
    }
    const { tokens } = await proxy.tokens(client)
    const planted = `access_token=${tokens.access_token}; Authorization=Bearer ${tokens.access_token}`
    expect((await proxy.mcp(undefined, { cookie: planted })).status).toBe(401)
  })
})

describe('on plain http, this machine only', () => {
  const LOCAL = 'http://localhost:8080'
  let local: OAuthProxy
  beforeEach(async () => void (local = await openOAuth({ config: { baseUrl: LOCAL } })))
  afterEach(() => local.close())

  test('T97 no prefix and no Secure, which browsers would refuse; the rest holds', async () => {
    const browser = openBrowser(local.fetch, LOCAL)
    const known = await local.register()
    const authorized = await browser.get(`${LOCAL}${local.request(known, { resource: undefined }).url}`)
    const shown = await browser.get(authorized.headers.get('location') ?? '')
    expect(setCookies(shown)).toEqual([
      expect.stringMatching(/^mcpc_[\w-]{12}=[\w-]{43}; Path=\/; Max-Age=900; HttpOnly; SameSite=Strict$/),
    ])
    const fields = fieldsOf(await shown.text())
    const [[name, value]] = [...browser.cookies] as [[string, string]]
    for (const cookie of ['', `__Host-${name}=${value}`, `${name}=${flipped(value)}`]) {
      const sent = await openBrowser(local.fetch, LOCAL).submit(
        '/consent',
        { ...fields, action: 'approve' },
        { cookie },
      )
      expect(sent.status).toBe(403)
    }
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    expect(approved.status).toBe(303)
    expect(setCookies(approved)[1]).toMatch(/^mcpb_[\w-]{12}=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/)
    const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const back = new URL((await browser.get(`/auth/callback?state=${state}&code=x`)).headers.get('location') ?? '')
    expect(back.searchParams.get('code')).toBeTruthy()
    expect(back.searchParams.get('iss')).toBe(LOCAL)
  })
})
