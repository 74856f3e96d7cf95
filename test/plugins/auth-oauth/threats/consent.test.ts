import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { displayName } from '../../../../plugins/auth-oauth/display-name.ts'
import { consentPage } from '../../../../plugins/auth-oauth/pages/consent-page.ts'
import { html } from '../../../../plugins/auth-oauth/pages/page.ts'
import { errorBack, guarded, handedBack, refusalPage } from '../../../fixtures/oauth/answers.ts'
import { openBrowser, type Browser } from '../../../fixtures/oauth/browser.ts'
import { sealNetwork } from '../../../fixtures/oauth/network.ts'
import {
  CALLBACK,
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type OAuthProxyOptions,
} from '../../../fixtures/oauth/proxy.ts'

const ATTACKER = 'https://attacker.example/callback'

let proxy: OAuthProxy
afterEach(() => proxy.close())

const begun = () => proxy.source.asked.filter(({ what }) => what === 'begin')
const finished = () => proxy.source.asked.filter(({ what }) => what === 'finish')

/** A proxy at which any https client may register. */
const open = async (more: OAuthProxyOptions = {}) =>
  void (proxy = await openOAuth({ options: { redirectUris: ['*'] }, ...more }))

/** Goes on from a consent page that was approved; resolves what the client gets. */
async function comeBack(browser: Browser, approved: Response): Promise<Response> {
  expect(approved.status).toBe(303)
  const away = new URL(approved.headers.get('location') ?? '')
  expect(away.origin).toBe('https://idp.test')
  return browser.get(`/auth/callback?state=${away.searchParams.get('state')}&code=upstream`)
}

/** The text a person reads. */
function textOf(page: string): string {
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
  return page
    .replaceAll(/<style>.*?<\/style>/gs, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/&([a-z]+|#39);/g, (_, name: string) => entities[name] ?? '?')
    .replaceAll(/\s+/g, ' ')
}

/** What a page is made of, without its texts: every tag with its attributes, values of hidden fields apart. */
function shapeOf(page: string): string[] {
  return (page.match(/<[a-z/!][^>]*>/gi) ?? []).map((tag) => tag.replace(/ value="[\w-]*"/, ' value=""'))
}

describe('the confused deputy', () => {
  test('T01 an attacker’s client and a victim whose session is open: the page names the client and where the answer goes', async () => {
    await open()
    const victim = proxy.browser()
    await proxy.login(await proxy.register({ client_name: 'Good Client' }), victim)
    const before = [...proxy.source.asked]
    const cookies = new Set(victim.cookies.keys())

    const attacker = await proxy.register({ client_name: 'Totally Claude', redirect_uris: [ATTACKER] })
    const { page } = await proxy.toConsent(victim, proxy.request(attacker).url)
    expect(textOf(page)).toContain('“Totally Claude” wants to connect')
    expect(textOf(page)).toContain('Totally Claude name not verified')
    expect(page).toMatch(/<strong\s*>\s*attacker\.example\s*<\/strong\s*>/)
    expect(textOf(page)).toContain(`${ORIGIN}/mcp`)
    expect(page).not.toContain('Good Client')
    // Nobody was asked anything, and there is no state yet: only the cookie of the form.
    expect(proxy.source.asked).toEqual(before)
    const fresh = [...victim.cookies.keys()].filter((name) => !cookies.has(name))
    expect(fresh).toEqual([expect.stringMatching(/^__Host-mcpc_/)])
  })

  test('T01 the same client again in the same browser: asked again', async () => {
    await open()
    const browser = proxy.browser()
    const client = await proxy.register()
    for (let round = 0; round < 3; round++) {
      const { page } = await proxy.toConsent(browser, proxy.request(client).url)
      expect(textOf(page)).toContain('“Test Client” wants to connect')
      expect(begun()).toHaveLength(round)
      await proxy.login(client, browser)
    }
  })

  test('T01 approving is what begins the login, with a state of its own each time', async () => {
    await open()
    const browser = proxy.browser()
    const client = await proxy.register()
    await proxy.login(client, browser)
    await proxy.login(client, browser)
    const states = begun().map(({ state }) => state)
    expect(new Set(states).size).toBe(2)
    for (const state of states) expect(state).toMatch(/^[\w-]{43}$/)
  })

  test('T01 denying asks nobody and tells the client', async () => {
    await open()
    const browser = proxy.browser()
    const client = await proxy.register({ redirect_uris: [ATTACKER] })
    const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
    const denied = await browser.submit('/consent', { ...fields, action: 'deny' })
    errorBack(denied, ATTACKER, 'access_denied', 'client state')
    expect(proxy.source.asked).toEqual([])
    expect(browser.cookies.size).toBe(0)
    await refusalPage(await browser.submit('/consent', { ...fields, action: 'approve' }), 403)
  })

  test('T01 a program on this computer, and one with a scheme of its own, are called that', async () => {
    await open()
    const pageOf = async (uri: string) =>
      (await proxy.toConsent(proxy.browser(), proxy.request(await proxy.register({ redirect_uris: [uri] })).url)).page
    const local = await pageOf('http://localhost:3000/callback')
    expect(textOf(local)).toMatch(/localhost – a program on this computer/)
    expect(textOf(local)).toContain('only if you have just started it yourself, from a program on this computer')
    expect(textOf(await pageOf('http://127.0.0.1:1234/callback'))).toContain('127.0.0.1 – a program on this computer')
    const app = await pageOf('cursor://anysphere.cursor-mcp/oauth/callback')
    expect(textOf(app)).toContain('an app on this device (cursor://)')
    expect(textOf(app)).not.toContain('a program on this computer')
    expect(textOf(await pageOf('com.claude.evil:/callback'))).toContain('an app on this device (com.claude.evil://)')
  })

  test('T01 what the program may do then is said, staying connected included', async () => {
    await open()
    const client = await proxy.register()
    const ask = async (scope: string) =>
      textOf((await proxy.toConsent(proxy.browser(), proxy.request(client, { scope }).url)).page)
    expect(await ask('mcp:use')).not.toContain('Stay connected')
    expect(await ask('mcp:use offline_access')).toContain('Stay connected')
  })
})

describe('the form', () => {
  /** A request open in its right browser, and another one of an attacker’s in theirs. */
  async function twoForms() {
    await open()
    const [victim, attacker] = [proxy.browser(), proxy.browser()]
    const client = await proxy.register()
    const { fields } = await proxy.toConsent(victim, proxy.request(client).url)
    const other = await proxy.toConsent(attacker, proxy.request(client).url)
    return { victim, attacker, fields, other: other.fields }
  }
  type Forms = Awaited<ReturnType<typeof twoForms>>

  /** Nothing has happened to the request: its own browser can still approve it. */
  async function isUntouched({ victim, fields }: Pick<Forms, 'victim' | 'fields'>) {
    expect(proxy.source.asked).toEqual([])
    const approved = await victim.submit('/consent', { ...fields, action: 'approve' })
    const back = handedBack(await comeBack(victim, approved), CALLBACK)
    expect(back['code']).toMatch(/^[\w-]{43}$/)
  }

  const flipped = (text = '') => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
  const cookieOf = ({ cookies }: Browser) => [...cookies].map((pair) => pair.join('=')).join('; ')

  test.each<[string, (forms: Forms) => Promise<Response>]>([
    ['without a cookie', ({ fields }) => proxy.browser().submit('/consent', { ...fields, action: 'approve' })],
    [
      'from another browser that has a form of its own',
      ({ attacker, fields }) => attacker.submit('/consent', { ...fields, action: 'approve' }),
    ],
    [
      'with the csrf of another request',
      ({ victim, fields, other }) =>
        victim.submit('/consent', { ...fields, csrf: other['csrf'] ?? '', action: 'approve' }),
    ],
    [
      'with the csrf of another request and its cookie',
      ({ attacker, fields, other }) =>
        attacker.submit('/consent', { ...other, authorization: fields['authorization'] ?? '', action: 'approve' }),
    ],
    [
      'with cookie and csrf of another request under the right cookie name',
      ({ victim, attacker, fields, other }) => {
        const [name = ''] = victim.cookies.keys()
        const [value = ''] = attacker.cookies.values()
        return proxy
          .browser()
          .submit(
            '/consent',
            { ...other, authorization: fields['authorization'] ?? '', action: 'approve' },
            { cookie: `${name}=${value}` },
          )
      },
    ],
    [
      'without csrf',
      ({ victim, fields: { csrf: _csrf, ...rest } }) => victim.submit('/consent', { ...rest, action: 'approve' }),
    ],
    [
      'with an empty csrf',
      ({ victim, fields }) => victim.submit('/consent', { ...fields, csrf: '', action: 'approve' }),
    ],
    [
      'with a csrf of other bits',
      ({ victim, fields }) =>
        victim.submit('/consent', { ...fields, csrf: flipped(fields['csrf']), action: 'approve' }),
    ],
    [
      'with a csrf cut short',
      ({ victim, fields }) =>
        victim.submit('/consent', { ...fields, csrf: fields['csrf']?.slice(0, -1) ?? '', action: 'approve' }),
    ],
    [
      'with the cookie as csrf',
      ({ victim, fields }) =>
        victim.submit('/consent', { ...fields, csrf: [...victim.cookies.values()][0] ?? '', action: 'approve' }),
    ],
    [
      'without csrf, to deny',
      ({ victim, fields }) => victim.submit('/consent', { ...fields, csrf: '', action: 'deny' }),
    ],
    [
      'from a page of another site',
      ({ victim, fields }) =>
        victim.submit(
          '/consent',
          { ...fields, action: 'approve' },
          { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
        ),
    ],
    [
      'from a page without origin',
      ({ victim, fields }) => victim.submit('/consent', { ...fields, action: 'approve' }, { origin: 'null' }),
    ],
    [
      'from Claude’s page, which may use the endpoint',
      ({ victim, fields }) =>
        victim.submit('/consent', { ...fields, action: 'approve' }, { origin: 'https://claude.ai' }),
    ],
    [
      'from another port',
      ({ victim, fields }) => victim.submit('/consent', { ...fields, action: 'approve' }, { origin: `${ORIGIN}:8443` }),
    ],
    [
      'over http',
      ({ victim, fields }) =>
        victim.submit('/consent', { ...fields, action: 'approve' }, { origin: ORIGIN.replace('https', 'http') }),
    ],
    ...['cross-site', 'same-site', 'none', 'Same-Origin', ''].map(
      (place): [string, (forms: Forms) => Promise<Response>] => [
        `with Sec-Fetch-Site "${place}"`,
        ({ victim, fields }) =>
          victim.submit('/consent', { ...fields, action: 'approve' }, { 'sec-fetch-site': place }),
      ],
    ),
  ])('T02 %s: 403, and the request is as it was', async (_, attack) => {
    const forms = await twoForms()
    await refusalPage(await attack(forms), 403)
    await isUntouched(forms)
  })

  test('T02 the csrf of an earlier look at the same page is no good', async () => {
    await open()
    const browser = proxy.browser()
    const { fields: early, url } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    const later = await browser.get(url)
    expect(later.status).toBe(200)
    await refusalPage(await browser.submit('/consent', { ...early, action: 'approve' }), 403)
    expect(proxy.source.asked).toEqual([])
  })

  test('T02 a form that was sent before, with its cookie kept: refused, nobody is asked again', async () => {
    await open()
    const browser = proxy.browser()
    const { fields } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    const cookie = cookieOf(browser)
    await comeBack(browser, await browser.submit('/consent', { ...fields, action: 'approve' }))
    const asked = [...proxy.source.asked]
    for (const action of ['approve', 'deny']) {
      await refusalPage(await proxy.browser().submit('/consent', { ...fields, action }, { cookie }))
    }
    await refusalPage(await browser.submit('/consent', { ...fields, action: 'approve' }), 403)
    expect(proxy.source.asked).toEqual(asked)
  })

  test.each<[string, string]>([
    ['none', ''],
    ['an empty one', '&action='],
    ['Approve', '&action=Approve'],
    ['yes', '&action=yes'],
    ['approve with a space', '&action=approve%20'],
    ['both', '&action=approve&action=deny'],
    ['approve twice', '&action=approve&action=approve'],
    ['an array', '&action[]=approve'],
    ['__proto__', '&action=__proto__'],
  ])('T02 an action that is neither approve nor deny (%s): 400, and the request is as it was', async (_, action) => {
    const forms = await twoForms()
    const answer = await proxy.fetch(`${ORIGIN}/consent`, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        accept: 'text/html',
        cookie: cookieOf(forms.victim),
      },
      body: `${new URLSearchParams(forms.fields).toString()}${action}`,
    })
    await refusalPage(answer)
    await isUntouched(forms)
  })

  test('T02 browsers that do not say where a form comes from are let through', async () => {
    await open()
    const browser = proxy.browser()
    const { fields } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    const approved = await proxy.fetch(`${ORIGIN}/consent`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', cookie: cookieOf(browser) },
      body: new URLSearchParams({ ...fields, action: 'approve' }).toString(),
      redirect: 'manual',
    })
    expect(approved.status).toBe(303)
  })

  test.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x'])(
    'T02 sent as %s: 400, and the request is as it was',
    async (type) => {
      const forms = await twoForms()
      const { victim, fields } = forms
      await refusalPage(await victim.submit('/consent', { ...fields, action: 'approve' }, { 'content-type': type }))
      await isUntouched(forms)
    },
  )

  test('T02 too late: refused, nobody is asked', async () => {
    await open()
    const browser = proxy.browser()
    const { fields, url } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    proxy.pass(15 * 60_000)
    await refusalPage(await browser.submit('/consent', { ...fields, action: 'approve' }))
    await refusalPage(await browser.get(url))
    expect(proxy.source.asked).toEqual([])
  })

  test('T03 a link that would approve shows the page and no more', async () => {
    const forms = await twoForms()
    const { victim, attacker, fields, other } = forms
    for (const browser of [victim, attacker, proxy.browser()]) {
      for (const csrf of [fields['csrf'] ?? '', other['csrf'] ?? '', '']) {
        const query = new URLSearchParams({ ...fields, csrf, action: 'approve' }).toString()
        const link = await proxy.fetch(`${ORIGIN}/consent?${query}`, {
          headers: { accept: 'text/html', cookie: cookieOf(browser) },
          redirect: 'manual',
        })
        expect(link.status).toBe(200)
        expect(link.headers.get('location')).toBeNull()
        expect(link.headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-mcpc_/)])
      }
    }
    await isUntouched(forms)
  })

  test.each(['HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('T03 %s decides nothing', async (method) => {
    const forms = await twoForms()
    const query = new URLSearchParams({ ...forms.fields, action: 'approve' }).toString()
    const answer = await proxy.fetch(`${ORIGIN}/consent?${query}`, {
      method,
      headers: { cookie: cookieOf(forms.victim), origin: ORIGIN },
      redirect: 'manual',
    })
    expect(answer.status).toBe(method === 'HEAD' ? 200 : 405)
    expect(answer.headers.get('allow')).toBe(method === 'HEAD' ? null : 'GET, POST')
    expect(answer.headers.get('location')).toBeNull()
    await isUntouched(forms)
  })

  test('T03 fields in the query of a POST do not count', async () => {
    const forms = await twoForms()
    const query = new URLSearchParams({ ...forms.fields, action: 'approve' }).toString()
    await refusalPage(await forms.victim.submit(`/consent?${query}`, {}), 403)
    await refusalPage(await forms.victim.submit(`/consent?${query}`, { ...forms.fields }))
    await isUntouched(forms)
  })

  test.each(['', 'nonesuch', '__proto__', 'constructor', '../authorization', '%00', '<script>', 'a'.repeat(5000)])(
    'T03 a consent page of a request "%s" that there is not: a page that repeats nothing',
    async (id) => {
      await open()
      const browser = proxy.browser()
      const text = await refusalPage(await browser.get(`/consent?authorization=${encodeURIComponent(id)}`))
      // Longer ones; of short ones there may be some in any text.
      expect(id.length > 3 && text.includes(id)).toBe(false)
      await refusalPage(await browser.submit('/consent', { authorization: id, csrf: 'x', action: 'approve' }), 403)
    },
  )
})

describe('several at once', () => {
  test('T05 two tabs with two clients, interleaved: each gets its own code and state', async () => {
    await open()
    const browser = proxy.browser()
    const uris = ['http://localhost:3001/one', 'http://localhost:3002/two']
    const tabs = await Promise.all(
      uris.map(async (uri, index) => {
        const client = await proxy.register({ client_name: `Client ${index}`, redirect_uris: [uri] })
        return { client, uri, state: `state ${index}`, ...proxy.request(client, { state: `state ${index}` }) }
      }),
    )
    const shown = []
    for (const tab of tabs) shown.push(await proxy.toConsent(browser, tab.url))
    expect(shown.map(({ page }) => /“(Client \d)”/.exec(page)?.[1])).toEqual(['Client 0', 'Client 1'])
    expect(browser.cookies.size).toBe(2)
    // The second tab first, then the first; and back the other way round.
    const approved = []
    for (const { fields } of shown.toReversed()) {
      approved.unshift(await browser.submit('/consent', { ...fields, action: 'approve' }))
    }
    expect([...browser.cookies.keys()].filter((name) => name.startsWith('__Host-mcpb_'))).toHaveLength(2)
    const codes: string[] = []
    for (const [index, tab] of tabs.entries()) {
      const back = handedBack(await comeBack(browser, approved[index] as Response), tab.uri)
      expect(back).toEqual({ code: expect.any(String), state: tab.state, iss: ORIGIN })
      codes.push(back['code'] ?? '')
    }
    expect(browser.cookies.size).toBe(0)
    // Neither code is any good to the other client.
    const [one, two] = tabs as [(typeof tabs)[0], (typeof tabs)[0]]
    const crossed = await proxy.token(codeFields({ client: two.client, code: codes[0] ?? '', verifier: one.verifier }))
    expect([crossed.status, await crossed.json()]).toEqual([400, expect.objectContaining({ error: 'invalid_grant' })])
    for (const [index, { client, verifier }] of tabs.entries()) {
      const redeemed = await proxy.token(codeFields({ client, code: codes[index] ?? '', verifier }))
      expect(redeemed.status).toBe(200)
    }
  })

  test('T05 two people in two browsers, interleaved: each gets their own, neither can finish for the other', async () => {
    await open()
    const client = await proxy.register()
    const people = [proxy.browser(), proxy.browser()]
    const approved: Response[] = []
    for (const [index, browser] of people.entries()) {
      const { fields } = await proxy.toConsent(browser, proxy.request(client, { state: `of ${index}` }).url)
      approved.push(await browser.submit('/consent', { ...fields, action: 'approve' }))
    }
    expect(people.map(({ cookies }) => cookies.size)).toEqual([1, 1])
    for (const [index, browser] of people.entries()) {
      const back = handedBack(await comeBack(browser, approved[index] as Response), CALLBACK)
      expect(back['state']).toBe(`of ${index}`)
    }
  })

  test.each([2, 10])('T06 approve clicked %i times at once: one goes on, the others are told', async (times) => {
    await open()
    const browser = proxy.browser()
    const client = await proxy.register()
    const request = proxy.request(client)
    const { fields } = await proxy.toConsent(browser, request.url)
    const clicks = Array.from({ length: times }, () => browser.submit('/consent', { ...fields, action: 'approve' }))
    const answers = await Promise.all(clicks)
    const [winner, ...more] = answers.filter(({ status }) => status === 303) as [Response]
    expect(more).toEqual([])
    for (const answer of answers.filter((one) => one !== winner)) {
      expect(await refusalPage(answer)).toContain('decided already')
    }
    expect(begun()).toHaveLength(1)
    const { code = '' } = handedBack(await comeBack(browser, winner), CALLBACK)
    expect((await proxy.token(codeFields({ client, code, verifier: request.verifier }))).status).toBe(200)
  })

  test('T06 approve and deny at once: one of them, not both', async () => {
    await open()
    const browser = proxy.browser()
    const { fields } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    const answers = await Promise.all(
      ['approve', 'deny'].map((action) => browser.submit('/consent', { ...fields, action })),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([303, 400]))
    const went = answers.find(({ status }) => status === 303)?.headers.get('location') ?? ''
    expect(begun()).toHaveLength(went.startsWith('https://idp.test/') ? 1 : 0)
  })

  test('T06 the second click comes from another browser with a stolen form: only the right one goes on', async () => {
    await open()
    const [victim, attacker] = [proxy.browser(), proxy.browser()]
    const { fields } = await proxy.toConsent(victim, proxy.request(await proxy.register()).url)
    const [right, wrong] = await Promise.all(
      [victim, attacker].map((browser) => browser.submit('/consent', { ...fields, action: 'approve' })),
    )
    await refusalPage(wrong as Response, 403)
    expect(handedBack(await comeBack(victim, right as Response), CALLBACK)['code']).toBeDefined()
    expect(begun()).toHaveLength(1)
  })

  test('T07 back to the consent page after the login: told, nothing begins again', async () => {
    await open()
    const browser = proxy.browser()
    const { fields, url } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    const cookie = cookieHeader(browser)
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    expect(await refusalPage(await browser.get(url))).toContain('decided already')
    await comeBack(browser, approved)
    for (const who of [browser, proxy.browser()]) {
      expect(await refusalPage(await who.get(url))).toContain('decided already')
      await refusalPage(await who.submit('/consent', { ...fields, action: 'approve' }, { cookie }))
    }
    expect(begun()).toHaveLength(1)
    expect(finished()).toHaveLength(1)
  })
})

const cookieHeader = ({ cookies }: Browser) => [...cookies].map((pair) => pair.join('=')).join('; ')

describe('the page', () => {
  test('T08 no page can be put into a frame', async () => {
    await open()
    const browser = proxy.browser()
    const { url, fields } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    const pages = [
      await browser.get(url),
      await browser.get('/consent'),
      await browser.get('/authorize'),
      await browser.get('/auth/callback'),
      await proxy.browser().submit('/consent', { ...fields, action: 'approve' }),
      await browser.submit('/consent', { ...fields, action: 'approve' }, { origin: 'https://evil.example' }),
    ]
    expect(pages.map(({ status }) => status)).toEqual([200, 400, 400, 400, 403, 403])
    for (const page of pages) guarded(page.headers)
    // Neither when somebody asks too often.
    const many = await Promise.all(Array.from({ length: 130 }, () => browser.get('/consent')))
    const held = many.filter(({ status }) => status === 429)
    expect(held.length).toBeGreaterThan(0)
    for (const page of held) {
      guarded(page.headers)
      expect(page.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    }
  })

  test('T08 form-action is left to browsers: it would stop redirects to clients’ own schemes', async () => {
    await open()
    const { url } = await proxy.toConsent(proxy.browser(), proxy.request(await proxy.register()).url)
    const shown = await proxy.browser().get(url)
    expect(shown.headers.get('content-security-policy')).not.toContain('form-action')
  })

  test('T09 the policy lets exactly the style through that is in the page, and no script', async () => {
    await open()
    const browser = proxy.browser()
    const { url } = await proxy.toConsent(browser, proxy.request(await proxy.register()).url)
    for (const response of [await browser.get(url), await browser.get('/consent')]) {
      const page = await response.text()
      const styles = [...page.matchAll(/<style[^>]*>(.*?)<\/style>/gs)].map(([, text = '']) => text)
      expect(styles).toHaveLength(1)
      const hash = createHash('sha256')
        .update(styles[0] ?? '')
        .digest('base64')
      const policy = response.headers.get('content-security-policy') ?? ''
      expect(policy).toContain(`style-src 'sha256-${hash}'`)
      expect(policy).not.toMatch(/script-src|unsafe|\*|https?:/)
      expect(page).not.toMatch(/<script|\son\w+=|style="|<link|<img|<iframe|<object|javascript:|url\(/i)
    }
  })

  const names = [
    '<img src=x onerror=alert(1)>',
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    '</title><script>alert(1)</script>',
    '</style><script>alert(1)</script>',
    '</dd></dl><form action=https://evil.example>',
    '<!--',
    '--> <b>',
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    'javascript:alert(1)',
    '&lt;script&gt;',
    '&#60;script&#62;',
    '<a href="https://evil.example">Claude</a>',
    '<base href="https://evil.example">',
    '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    '<svg/onload=alert(1)>',
    '${7*7} {{7*7}} <%= 7*7 %>',
    '`${alert(1)}`',
    ']]><script>',
    '＜script＞alert(1)＜/script＞',
  ]

  test('T09 whatever a client calls itself is text in the page', async () => {
    await open()
    const browser = proxy.browser()
    const plain = shapeOf((await proxy.toConsent(browser, proxy.request(await proxy.register()).url)).page)
    for (const client_name of names) {
      const client = await proxy.register({
        client_name,
        client_uri: 'javascript:alert(1)',
        policy_uri: 'javascript:alert(2)',
      })
      const { page } = await proxy.toConsent(browser, proxy.request(client).url)
      expect(shapeOf(page)).toEqual(plain)
      expect(textOf(page)).toContain(`“${client_name}” wants to connect`)
      expect(page.replaceAll('javascript:alert(1)', '')).not.toContain('javascript:')
      expect(page.split('javascript:').length > 1).toBe(client_name.startsWith('javascript:'))
    }
  })

  test('T09 the same for every text there is', async () => {
    await open()
    const rendered = (clientName: string | undefined, redirectUri = CALLBACK) =>
      consentPage({
        name: 'MCP Proxy Server',
        clientName,
        redirectUri,
        resource: `${ORIGIN}/mcp`,
        scopes: ['mcp:use'],
        authorization: 'a',
        csrf: 'c',
        headers: [],
      }).text()
    const plain = shapeOf(await rendered('plain'))
    const bits = fc.constantFrom(
      ...names,
      '<',
      '>',
      '"',
      "'",
      '&',
      '/',
      '=',
      '`',
      '\0',
      '\n',
      '\u2028',
      '\u202E',
      'é',
      '😀',
    )
    const texts = fc.oneof(
      fc.array(bits, { maxLength: 6 }).map((all) => all.join('')),
      fc.string({ unit: 'binary', maxLength: 300 }),
    )
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const shown = displayName(text)
        const page = await rendered(shown)
        expect(shapeOf(page)).toEqual(plain)
        expect(textOf(page)).toContain(
          `“${shown ?? 'A program without a name'}” wants to connect`.replaceAll(/\s+/g, ' '),
        )
      }),
      { numRuns: 500 },
    )
  })

  test('T09 what is put into a page is text, in quoted attributes too', async () => {
    await open()
    const texts = fc.oneof(fc.constantFrom(...names), fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(texts, (text) => {
        const { text: built } = html`<p title="${text}" lang="${text}">${text}</p>`
        expect(built.match(/["'<>]/g)?.join('')).toBe('<""""><>')
        expect(html`${html`<b>${text}</b>`}`.text).toBe(`<b>${html`${text}`.text}</b>`)
      }),
    )
  })

  test('T09 what else a client says of itself or sends along is not in the page', async () => {
    await open()
    const evil = '"><script>evil</script>'
    const redirect = `http://localhost:3000/'onload='evil?x=evil`
    const client = await proxy.register({
      redirect_uris: [redirect],
      client_uri: evil,
      tos_uri: evil,
      contacts: [evil],
    })
    const { url } = proxy.request(client, {
      state: evil,
      scope: 'evil',
      nonce: evil,
      login_hint: evil,
      ui_locales: evil,
    })
    const { page } = await proxy.toConsent(proxy.browser(), url)
    expect(page).not.toContain('evil')
  })

  test('T10 a name that is too long is cut, one with nothing to see is none', async () => {
    await open()
    for (const [given, shown] of [
      ['a'.repeat(10_240), 'a'.repeat(128)],
      ['😀'.repeat(200), '😀'.repeat(128)],
      ['x'.repeat(127) + '😀😀', 'x'.repeat(127) + '😀'],
    ] as const) {
      const client = await proxy.register({ client_name: given })
      expect(client['client_name']).toBe(shown)
      const { page } = await proxy.toConsent(proxy.browser(), proxy.request(client).url)
      expect(textOf(page)).toContain(`“${shown}” wants to connect`)
    }
    const blank = [
      '',
      ' ',
      '\u200B',
      '\u202E',
      '\n\r\t',
      '\u3164',
      '\u115F',
      '\u2800',
      '\uFE0F',
      '\u034F',
      '\u00AD',
      '\u{E0041}',
      '\u00A0\u3000',
    ]
    for (const client_name of blank) {
      proxy.pass(10_000)
      const client = await proxy.register({ client_name })
      expect(client).not.toHaveProperty('client_name')
      const { page } = await proxy.toConsent(proxy.browser(), proxy.request(client).url)
      expect(textOf(page)).toContain('“A program without a name” wants to connect')
    }
  })

  test.each([
    ['a bidi override', 'Claude\u202Eedualc', 'Claudeedualc'],
    ['bidi isolates', '\u2066\u2067Claude\u2069', 'Claude'],
    ['bidi marks', '\u200EClaude\u200F\u061C', 'Claude'],
    ['zero width', 'Cl\u200Ba\u200Cu\u200Dd\uFEFFe\u2060', 'Claude'],
    ['soft hyphens', 'Clau\u00ADde', 'Claude'],
    ['tags', 'Claude\u{E0061}\u{E007F}', 'Claude'],
    ['variation selectors', 'Claude\uFE0F\u{E0100}', 'Claude'],
    ['a joiner that is not seen', 'Claude\u034F', 'Claude'],
    ['fillers', 'Claude\u3164\u115F\u1160\uFFA0', 'Claude'],
    ['blank braille', 'Claude\u2800', 'Claude'],
    ['line breaks', 'Claude\r\nby Anthropic\u2028\u2029\u0085x', 'Claude by Anthropic x'],
    ['control characters', 'Cl\0a\x1B[31mu\x07\x9Fde', 'Cl a [31mu de'],
    ['spaces of all widths', '  Claude \u00A0\u2003\u3000 Code  ', 'Claude Code'],
    ['private use', 'Claude\uE000\u{F0000}', 'Claude'],
    ['decomposed letters', 'Cafe\u0301', 'Café'],
  ])('T10 a name with %s', async (_, given, shown) => {
    await open()
    const client = await proxy.register({ client_name: given })
    expect(client['client_name']).toBe(shown)
    const { page } = await proxy.toConsent(proxy.browser(), proxy.request(client).url)
    expect(textOf(page)).toContain(`“${shown}” wants to connect`)
  })

  test('T10 no name is shown with characters that are not seen, or longer than 128', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const shown = displayName(text)
        if (shown === undefined) return
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Cn}\p{Default_Ignorable_Code_Point}\u2800]/u)
        expect(Array.from(shown).length).toBeLessThanOrEqual(128)
        expect(shown).toBe(shown.trim())
        expect(shown).toMatch(/\S/)
        expect(displayName(shown)).toBe(shown)
      }),
      { numRuns: 2000 },
    )
  })

  test('T10 a host of foreign letters is shown as it is sent: punycode', async () => {
    await open()
    const uri = 'https://xn--80ak6aa92e.com/callback'
    const client = await proxy.register({ client_name: 'аррӏе.com', redirect_uris: [uri] })
    const { page } = await proxy.toConsent(proxy.browser(), proxy.request(client).url)
    expect(page).toMatch(/<strong\s*>\s*xn--80ak6aa92e\.com\s*<\/strong\s*>/)
    const raw = await proxy.registerRaw({ redirect_uris: ['https://аррӏе.com/callback'] })
    expect([raw.status, await raw.json()]).toEqual([400, expect.objectContaining({ error: 'invalid_redirect_uri' })])
  })

  test('T11 addresses that a client gives of itself are never fetched, and never in a page', async () => {
    await open()
    const network = sealNetwork()
    try {
      await expect(async () => fetch('http://127.0.0.1:9/')).rejects.toThrow('sealed')
      expect(network.tries.splice(0)).toEqual(['fetch'])
      const inside = 'http://169.254.169.254/latest/meta-data/'
      const client = await proxy.register({
        logo_uri: inside,
        client_uri: inside,
        tos_uri: inside,
        policy_uri: inside,
        jwks_uri: inside,
        sector_identifier_uri: inside,
        initiate_login_uri: inside,
        request_uris: [inside],
        contacts: [inside],
      })
      expect(JSON.stringify(client)).not.toContain('169.254')
      const browser = proxy.browser()
      const { page, fields } = await proxy.toConsent(browser, proxy.request(client).url)
      expect(page).not.toContain('169.254')
      expect(page).not.toMatch(/<img|src=|https?:\/\/(?!mcp\.example\.com)/)
      const back = await comeBack(browser, await browser.submit('/consent', { ...fields, action: 'approve' }))
      expect(handedBack(back, CALLBACK)['code']).toBeDefined()
      expect(network.tries).toEqual([])
    } finally {
      network.open()
    }
  })
})

test('T08 on plain http of this machine the pages are guarded all the same', async () => {
  proxy = await openOAuth({ config: { baseUrl: 'http://localhost:8080' } })
  const browser = openBrowser(proxy.fetch, 'http://localhost:8080')
  const { url } = await proxy.toConsent(browser, proxy.request(await proxy.register(), { resource: undefined }).url)
  guarded((await browser.get(url)).headers)
})
