import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SourceError, type SourceFailure } from '../../../../plugins/auth-oauth/index.ts'
import { errorBack, handedBack, refusalPage } from '../../../fixtures/oauth/answers.ts'
import type { Browser } from '../../../fixtures/oauth/browser.ts'
import {
  CALLBACK,
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type Registered,
} from '../../../fixtures/oauth/proxy.ts'
import { BOB } from '../../../fixtures/oauth/source.ts'

let proxy: OAuthProxy
let client: Registered
beforeEach(async () => {
  proxy = await openOAuth()
  client = await proxy.register()
})
afterEach(() => proxy.close())

const finished = () => proxy.source.asked.filter(({ what }) => what === 'finish')

/** A browser that has approved and stands at the identity source. */
async function away(browser = proxy.browser(), more: Record<string, string | undefined> = {}) {
  const { url, verifier } = proxy.request(client, more)
  const { fields } = await proxy.toConsent(browser, url)
  const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
  const place = new URL(approved.headers.get('location') ?? '')
  const state = place.searchParams.get('state') ?? ''
  return { browser, state, verifier, place, authorization: fields['authorization'] ?? '' }
}

const back = (browser: Browser, state: string, more = '&code=upstream') =>
  browser.get(`/auth/callback?state=${encodeURIComponent(state)}${more}`)

const cookiesOf = ({ cookies }: Browser) => [...cookies].map((pair) => pair.join('=')).join('; ')

describe('a state that is not this browser’s', () => {
  test('T03 a login goes on only with the state it was given: every other one is a page, and nobody is asked', async () => {
    const { browser, state, authorization } = await away()
    const flipped = (state.startsWith('A') ? 'B' : 'A') + state.slice(1)
    const others = [
      ...'undefined null * __proto__ constructor ../departure <script>'.split(' '),
      '',
      '\0',
      'a'.repeat(10_000),
      authorization,
      flipped,
      state.slice(0, -1),
      `${state}A`,
      `${state} `,
      ` ${state}`,
      `${state}\0`,
      state.toUpperCase(),
      state.toLowerCase(),
      client.client_id,
      'client state',
    ]
    for (const other of others) {
      const text = await refusalPage(await back(browser, other))
      expect(text).not.toContain('<script>')
      expect(text).not.toContain(state.slice(1))
    }
    expect(finished()).toEqual([])
    // The right one is as good as before.
    expect(handedBack(await back(browser, state), CALLBACK)['code']).toBeDefined()
  })

  test('T03 without state, or with two: a page, and the login is as it was', async () => {
    const { browser, state } = await away()
    await refusalPage(await browser.get('/auth/callback'))
    await refusalPage(await browser.get('/auth/callback?code=upstream'))
    await refusalPage(await browser.get(`/auth/callback?state=${state}&state=${state}&code=upstream`))
    await refusalPage(await browser.get(`/auth/callback?state=${state}&st%61te=x&code=upstream`))
    await refusalPage(await browser.get(`/auth/callback?state=x&state=${state}&code=upstream`))
    expect(finished()).toEqual([])
    expect(handedBack(await back(browser, state), CALLBACK)['code']).toBeDefined()
  })

  test('T03 a callback before anybody has approved: a page', async () => {
    const browser = proxy.browser()
    const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
    for (const state of [fields['authorization'] ?? '', fields['csrf'] ?? '', ...browser.cookies.values()]) {
      await refusalPage(await back(browser, state))
    }
    expect(proxy.source.asked).toEqual([])
  })

  test('T03 a browser that was denied, or told to wait, has no state to come back with', async () => {
    const browser = proxy.browser()
    const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
    errorBack(
      await browser.submit('/consent', { ...fields, action: 'deny' }),
      CALLBACK,
      'access_denied',
      'client state',
    )
    await refusalPage(await back(browser, fields['authorization'] ?? ''))
    proxy.source.place = () => {
      throw new SourceError('unavailable', 'down')
    }
    const later = await proxy.toConsent(browser, proxy.request(client).url)
    const approved = await browser.submit('/consent', { ...later.fields, action: 'approve' })
    errorBack(approved, CALLBACK, 'temporarily_unavailable', 'client state')
    const begun = proxy.source.asked.find(({ what }) => what === 'begin')
    await refusalPage(await back(browser, begun?.state ?? ''))
    expect(finished()).toEqual([])
  })

  test('T04 an attacker’s approved login, finished by a victim: refused, burned, and no code', async () => {
    const attacker = await away()
    const victim = proxy.browser()
    const text = await refusalPage(await back(victim, attacker.state), 403)
    expect(text).not.toContain(attacker.state)
    // Burned for the attacker as well: they cannot come back with what the victim left at the source.
    await refusalPage(await back(attacker.browser, attacker.state))
    expect(finished()).toEqual([])
    expect(proxy.log()).toContain('login-unbound')
    expect(proxy.log()).not.toContain('"event":"login"')
  })

  test('T04 a victim with a login of their own on its way: refused, and their own goes on', async () => {
    const attacker = await away()
    const victim = await away()
    await refusalPage(await back(victim.browser, attacker.state), 403)
    const parameters = handedBack(await back(victim.browser, victim.state), CALLBACK)
    const redeemed = await proxy.token(
      codeFields({ client, code: parameters['code'] ?? '', verifier: victim.verifier }),
    )
    expect(redeemed.status).toBe(200)
    expect(finished().map(({ state }) => state)).toEqual([victim.state])
  })

  test('T04 the victim’s code of the source under the attacker’s state, the attacker’s cookie not there: refused', async () => {
    proxy.source.who = () => BOB
    const attacker = await away()
    const victim = await away()
    // What the attacker may have planted: their own cookie under another name, and under the victim's name.
    const [attackers = ''] = attacker.browser.cookies.values()
    const [name = ''] = victim.browser.cookies.keys()
    for (const planted of [`mcpb_x=${attackers}`, `${name}=${attackers}`]) {
      const again = await away()
      const response = await proxy
        .browser()
        .get(`/auth/callback?state=${again.state}&code=upstream`, { cookie: planted })
      await refusalPage(response, 403)
    }
    await refusalPage(await back(victim.browser, attacker.state), 403)
    expect(finished()).toEqual([])
  })

  test('T04 whatever the callback says besides, without the right cookie it is refused', async () => {
    for (const more of [
      '&error=access_denied',
      `&redirect_uri=${encodeURIComponent(CALLBACK)}`,
      `&iss=${ORIGIN}`,
      '',
    ]) {
      const { state } = await away()
      await refusalPage(await back(proxy.browser(), state, more), 403)
      await refusalPage(await back(proxy.browser(), state, more))
    }
    expect(finished()).toEqual([])
  })

  test('T04 a prefetch without cookies burns the state too: it is good for one return', async () => {
    const { browser, state } = await away()
    const head = await proxy.fetch(`${ORIGIN}/auth/callback?state=${state}&code=x`, { method: 'HEAD' })
    expect(head.status).toBe(403)
    expect(head.headers.get('location')).toBeNull()
    await refusalPage(await back(browser, state))
    expect(finished()).toEqual([])
  })

  test('T04 too late: refused, whoever comes', async () => {
    const { browser, state } = await away()
    proxy.pass(10 * 60_000)
    await refusalPage(await back(browser, state))
    expect(finished()).toEqual([])
  })
})

describe('a state that was used', () => {
  test('T07 the back button after success: a page, nobody is asked again, and the code stays good', async () => {
    const [browser, other] = [proxy.browser(), proxy.browser()]
    const { state, verifier } = await away(browser)
    const cookie = cookiesOf(browser)
    const parameters = handedBack(await back(browser, state), CALLBACK)
    expect(parameters).toEqual({ code: expect.stringMatching(/^[\w-]{43}$/), state: 'client state', iss: ORIGIN })
    for (const again of [
      await back(browser, state),
      await browser.get(`/auth/callback?state=${state}&code=upstream`, { cookie }),
      await other.get(`/auth/callback?state=${state}&code=upstream`, { cookie }),
      await back(browser, state, '&error=access_denied'),
    ]) {
      await refusalPage(again)
    }
    expect(finished()).toHaveLength(1)
    expect((await proxy.token(codeFields({ client, code: parameters['code'] ?? '', verifier }))).status).toBe(200)
  })

  test('T07 the same return twice at once: one code', async () => {
    const { browser, state } = await away()
    const answers = await Promise.all(Array.from({ length: 8 }, () => back(browser, state)))
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(7)
    expect(finished()).toHaveLength(1)
  })

  test('T07 a return that failed is used up as well', async () => {
    proxy.source.who = () => {
      throw new SourceError('unavailable', 'down')
    }
    const { browser, state } = await away()
    const cookie = cookiesOf(browser)
    errorBack(await back(browser, state), CALLBACK, 'temporarily_unavailable', 'client state')
    await refusalPage(await browser.get(`/auth/callback?state=${state}&code=upstream`, { cookie }))
    expect(finished()).toHaveLength(1)
  })

  test('T07 the whole way twice in one browser: two logins with a code each, neither used twice', async () => {
    const browser = proxy.browser()
    const first = await away(browser)
    const second = await away(browser)
    expect(first.state).not.toBe(second.state)
    const codes = []
    for (const { state } of [second, first]) codes.push(handedBack(await back(browser, state), CALLBACK)['code'])
    expect(new Set(codes).size).toBe(2)
    for (const { state } of [first, second]) await refusalPage(await back(browser, state))
    expect(finished()).toHaveLength(2)
  })
})

describe('what the client is told', () => {
  const evil = 'evil"><script>\r\nSet-Cookie: evil=1\r\nLocation: https://evil.example\r\n\r\nупс'

  const fail = (failure: SourceFailure, error?: string) => () => {
    throw new SourceError(failure, evil, error === undefined ? {} : { error })
  }

  test.each<[SourceFailure, string | undefined, string]>([
    ['denied', undefined, 'access_denied'],
    ['denied', 'access_denied', 'access_denied'],
    ['denied', 'login_required', 'login_required'],
    ['denied', 'interaction_required', 'interaction_required'],
    ['denied', 'temporarily_unavailable', 'temporarily_unavailable'],
    ['denied', 'server_error', 'server_error'],
    ['denied', 'consent_required', 'server_error'],
    ['denied', 'invalid_scope', 'server_error'],
    ['denied', 'unauthorized', 'server_error'],
    ['denied', '', 'server_error'],
    ['denied', '__proto__', 'server_error'],
    ['denied', 'access_denied ', 'server_error'],
    ['denied', evil, 'server_error'],
    ['ended', undefined, 'server_error'],
    ['misconfigured', undefined, 'server_error'],
    ['unavailable', undefined, 'temporarily_unavailable'],
  ])('T25 a source that fails with %s, %s: %s, in words of ours', async (failure, error, told) => {
    proxy.source.who = fail(failure, error)
    const { browser, state } = await away()
    const query = `&error=${encodeURIComponent(error ?? 'x')}&error_description=${encodeURIComponent(evil)}`
    const response = await back(browser, state, query)
    errorBack(response, CALLBACK, told, 'client state')
    expect(response.headers.get('location')).not.toMatch(/evil|%3C|cookie|%0D|%0A/i)
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-mcpb_[\w-]{12}=; Path=\/; Max-Age=0;/),
    ])
    expect([...response.headers.keys()].sort()).toEqual(['cache-control', 'location', 'referrer-policy', 'set-cookie'])
    expect(browser.cookies.size).toBe(0)
  })

  test.each<[string, unknown, string]>([
    ['an error of its own', new Error(evil), 'temporarily_unavailable'],
    ['text', evil, 'temporarily_unavailable'],
    ['nothing', undefined, 'temporarily_unavailable'],
    ['null', null, 'temporarily_unavailable'],
    ['another kind of SourceError', { name: 'SourceError', failure: '__proto__' }, 'temporarily_unavailable'],
    ['a SourceError of another copy of the module', { name: 'SourceError', failure: 'misconfigured' }, 'server_error'],
    ['a refusal without a code', { name: 'SourceError', failure: 'denied' }, 'server_error'],
  ])('T25 a source that throws %s: %s', async (_, thrown, told) => {
    proxy.source.who = () => {
      throw thrown
    }
    const { browser, state } = await away()
    const response = await back(browser, state)
    errorBack(response, CALLBACK, told, 'client state')
    expect(response.headers.get('location')).not.toContain('evil')
  })

  test.each<[SourceFailure, string | undefined, string]>([
    ['denied', evil, 'server_error'],
    ['misconfigured', undefined, 'server_error'],
    ['unavailable', undefined, 'temporarily_unavailable'],
  ])(
    'T25 a source that cannot begin (%s): the client is told at once, no cookie stays',
    async (failure, error, told) => {
      proxy.source.place = fail(failure, error)
      const browser = proxy.browser()
      const { fields } = await proxy.toConsent(browser, proxy.request(client).url)
      const response = await browser.submit('/consent', { ...fields, action: 'approve' })
      errorBack(response, CALLBACK, told, 'client state')
      expect(response.headers.get('location')).not.toContain('evil')
      expect(browser.cookies.size).toBe(0)
    },
  )

  test('T25 somebody who is not on the list: access_denied, without their name', async () => {
    proxy.source.who = () => BOB
    const { browser, state } = await away()
    const response = await back(browser, state)
    errorBack(response, CALLBACK, 'access_denied', 'client state')
    expect(response.headers.get('location')).not.toMatch(/bob/i)
  })

  test('T25 what comes in the query is handed to nobody', async () => {
    const { browser, state } = await away()
    const planted =
      '&iss=https://evil.example&error=evil&error_description=evil&redirect_uri=https://evil.example/&code=evil'
    const response = await back(browser, state, planted)
    expect(handedBack(response, CALLBACK)).toEqual({ code: expect.any(String), state: 'client state', iss: ORIGIN })
    expect(response.headers.get('location')).not.toContain('evil')
  })

  test('T25 a redirect_uri that nobody has verified is never used', async () => {
    const evilUri = encodeURIComponent('https://evil.example/')
    const browser = proxy.browser()
    for (const url of [
      `/auth/callback?redirect_uri=${evilUri}`,
      `/auth/callback?error=access_denied&redirect_uri=${evilUri}&state=x`,
      `/authorize?error=access_denied&redirect_uri=${evilUri}`,
      `/authorize?client_id=${client.client_id}&redirect_uri=${evilUri}&prompt=none`,
      `/consent?redirect_uri=${evilUri}`,
      `/consent?authorization=x&redirect_uri=${evilUri}&action=deny`,
    ]) {
      expect(await refusalPage(await browser.get(url))).not.toContain('evil')
    }
  })

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])(
    'T26 %s: 405 with Allow, and the login is as it was',
    async (method) => {
      const { browser, state } = await away()
      const response = await proxy.fetch(`${ORIGIN}/auth/callback?state=${state}&code=x`, {
        method,
        headers: { cookie: cookiesOf(browser), 'content-type': 'application/x-www-form-urlencoded' },
        redirect: 'manual',
        ...(method === 'POST' && { body: `state=${state}&code=x` }),
      })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET'])
      expect(response.headers.get('location')).toBeNull()
      expect(response.headers.get('access-control-allow-origin')).toBeNull()
      expect(handedBack(await back(browser, state), CALLBACK)['code']).toBeDefined()
    },
  )

  test('T25 every step redirects with 303: a form is never sent on', async () => {
    const browser = proxy.browser()
    const { url } = proxy.request(client)
    const steps = [await browser.get(url)]
    const { fields } = await proxy.toConsent(browser, url)
    const form = await proxy.fetch(`${ORIGIN}/authorize`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: url.split('?')[1] ?? '',
      redirect: 'manual',
    })
    steps.push(form, await browser.submit('/consent', { ...fields, action: 'approve' }))
    const state = new URL(steps.at(-1)?.headers.get('location') ?? '').searchParams.get('state') ?? ''
    steps.push(await back(browser, state), await browser.get(proxy.request(client, { prompt: 'none' }).url))
    expect(steps.map(({ status }) => status)).toEqual([303, 303, 303, 303, 303])
    for (const { headers } of steps) {
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
    }
  })
})
