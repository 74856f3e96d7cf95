import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { collectionOf, diskError, riggedStorage } from '../../../fixtures/oauth/rigged.ts'
import { refusalPage } from '../../../fixtures/oauth/answers.ts'
import { codeFields, openOAuth, type OAuthProxy } from '../../../fixtures/oauth/proxy.ts'
import { granted, refusal } from '../../../fixtures/oauth/token-answers.ts'
import { openDocumentServer, type Answer, type DocumentServer } from '../../../fixtures/oauth/document-server.ts'
import { authorize, clientOf, DAY, documentAt, HOUR, ID, LOCAL, MINUTE, openDocumented, statuses } from './support.ts'

const SECOND = 1000

let server: DocumentServer
let proxy: OAuthProxy

beforeEach(async () => {
  // Time passes when a test says so: how long anything really takes is of no account.
  vi.useFakeTimers({ toFake: ['Date'] })
  server = await openDocumentServer()
  proxy = await openOAuth({ documentFetch: server.options })
})
afterEach(async () => {
  await proxy.close()
  await server.idle()
  await server.stop()
  vi.useRealTimers()
})

const status =
  (code: number): Answer =>
  (_request, response) =>
    void response.writeHead(code).end()
/** What stands in front of claude.ai for many servers. */
const challenge: Answer = (_request, response) =>
  void response
    .writeHead(403, { 'content-type': 'text/html', 'cf-mitigated': 'challenge' })
    .end('<html>Just a moment…</html>')

/** Somebody begins to authorize the client; resolves whether they get as far as the consent page. */
async function begins(client = clientOf()): Promise<boolean> {
  const response = await authorize(proxy, client)
  if (response.status === 303) return true
  await refusalPage(response)
  return false
}

describe('how long a document counts', () => {
  test.each([
    ['nothing said', {}, HOUR],
    ['max-age=0: 5 minutes at least', { 'cache-control': 'max-age=0' }, 5 * MINUTE],
    ['no-store: the same', { 'cache-control': 'no-store' }, 5 * MINUTE],
    ['299 s: the same', { 'cache-control': 'max-age=299' }, 5 * MINUTE],
    ['20 minutes', { 'cache-control': 'public, max-age=1200' }, 20 * MINUTE],
    ['a year: a day at most', { 'cache-control': 'max-age=31536000' }, DAY],
    ['for ever: the same', { 'cache-control': `max-age=${'9'.repeat(20)}` }, DAY],
  ])('T91 %s', async (_, headers, life) => {
    server.put(documentAt(ID), ID, headers)
    expect(await begins()).toBe(true)
    proxy.pass(life - 1)
    expect(await begins()).toBe(true)
    expect(server.asked.length).toBe(1)
    proxy.pass(1)
    expect(await begins()).toBe(true)
    expect(server.asked.length).toBe(2)
    // Also after a restart it is as old as it is.
    proxy.pass(life - 1)
    await proxy.restart()
    expect(await begins()).toBe(true)
    expect(server.asked.length).toBe(2)
  })

  test('T91 other redirect URIs count when the old document no longer does', async () => {
    const next = 'http://127.0.0.1/next'
    server.put(documentAt(ID, { redirect_uris: [LOCAL] }))
    expect(await begins()).toBe(true)
    server.put(documentAt(ID, { redirect_uris: [next] }))
    expect(await begins(clientOf(ID, next))).toBe(false)
    proxy.pass(HOUR)
    expect(await begins(clientOf(ID, next))).toBe(true)
    expect(await begins()).toBe(false)
  })

  test('T91 a login under way keeps the redirect URI it began with', async () => {
    const browser = proxy.browser()
    const [before, after] = [clientOf(), clientOf(ID, 'http://127.0.0.1/next')]
    server.put(documentAt(ID, { redirect_uris: [LOCAL] }), ID, { 'cache-control': 'max-age=0' })
    const { url, verifier } = proxy.request(before)
    const { fields } = await proxy.toConsent(browser, url)

    server.put(documentAt(ID, { client_name: 'Renamed', redirect_uris: ['http://127.0.0.1/next'] }))
    proxy.pass(6 * MINUTE)
    expect(await begins(after)).toBe(true)
    expect(await begins(before)).toBe(false)

    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    const away = new URL(approved.headers.get('location') ?? '')
    const back = await browser.get(`/auth/callback?state=${away.searchParams.get('state')}`)
    const to = new URL(back.headers.get('location') ?? '')
    expect(`${to.origin}${to.pathname}`).toBe(LOCAL)
    const code = to.searchParams.get('code') ?? ''
    await granted(await proxy.token(codeFields({ client: before, code, verifier })))
  })

  test('T91 what the operator allows counts at once, though the document is not read again', async () => {
    const uris = [LOCAL, 'https://app.mcp-test.com/callback']
    server.put(documentAt(ID, { redirect_uris: uris }))
    const web = clientOf(ID, uris[1])
    const env = { MCP_ALLOWED_REDIRECT_URIS: uris[1] ?? '' }
    expect([await begins(), await begins(web)]).toEqual([true, false])
    await proxy.restart({ env })
    expect([await begins(), await begins(web)]).toEqual([true, true])
    await proxy.restart({ env: {} })
    expect([await begins(), await begins(web)]).toEqual([true, false])
    expect(server.asked.length).toBe(1)
  })
})

describe('a document that cannot be had for the moment', () => {
  const outages: [string, Answer | 'down'][] = [
    ['503', status(503)],
    ['500', status(500)],
    ['429', status(429)],
    ['a challenge for browsers', challenge],
    [
      'a page instead of it',
      (_request, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
    ],
    [
      'a redirect to a page',
      (_request, response) => void response.writeHead(302, { location: 'https://x.com/' }).end(),
    ],
    ['a connection that breaks off', (_request, response) => void response.socket?.destroy()],
    ['nobody there', 'down'],
  ]

  test.each(outages)(
    'T91 %s: the old one is used, for a week and no longer; a new client gets nowhere',
    async (_, answer) => {
      server.put(documentAt(ID))
      const { client, tokens } = await proxy.tokens(clientOf())
      server.remove(ID)
      if (answer === 'down') await server.stop()
      else server.answer = answer
      expect(await begins(clientOf('https://client.mcp-test.com/new'))).toBe(false)

      for (const days of [1, 5]) {
        proxy.pass(days * DAY)
        expect(await begins()).toBe(true)
      }
      // Also in another process of the same files, or a later one.
      await proxy.restart()
      expect(await begins()).toBe(true)
      const login = await proxy.login(clientOf())
      await granted(await proxy.token(codeFields(login)))
      proxy.pass(DAY)
      expect(await begins()).toBe(false)
      // The login has nothing to do with that.
      await granted(await proxy.refresh(client, tokens.refresh_token))
      expect(proxy.log()).toContain('it is taken as it was known before')
    },
  )

  test('T91 when it is back, it counts again', async () => {
    server.put(documentAt(ID))
    expect(await begins()).toBe(true)
    server.remove(ID)
    server.answer = status(503)
    proxy.pass(2 * HOUR)
    expect(await begins()).toBe(true)
    server.put(documentAt(ID, { redirect_uris: ['http://127.0.0.1/next'] }))
    proxy.pass(30 * SECOND)
    expect(await begins()).toBe(false)
    expect(await begins(clientOf(ID, 'http://127.0.0.1/next'))).toBe(true)
  })

  test('T91 after a failure nobody asks again for 30 s', async () => {
    const codes = [503, 404]
    for (const code of codes) {
      const client = clientOf(`https://client.mcp-test.com/${code}`)
      server.answer = status(code)
      const before = server.asked.length
      expect(await begins(client)).toBe(false)
      server.put(documentAt(client.client_id))
      proxy.pass(30 * SECOND - 1)
      expect(await begins(client)).toBe(false)
      expect(server.asked.length - before).toBe(1)
      proxy.pass(1)
      expect(await begins(client)).toBe(true)
      expect(server.asked.length - before).toBe(2)
    }
  })

  test('T91 the clock is set back by a day right after a failure: it is asked again all the same', async () => {
    server.answer = status(503)
    expect(await begins()).toBe(false)
    server.put(documentAt(ID))
    proxy.pass(-DAY)
    expect(await begins()).toBe(true)
  })
})

describe('a document that is gone, or says something else now', () => {
  const ends: [string, () => void][] = [
    ['404', () => server.remove(ID)],
    ['410', () => (server.remove(ID), void (server.answer = status(410)))],
    ['another client_id', () => server.put(documentAt(`${ID}x`), ID)],
    ['a secret', () => server.put(documentAt(ID, { token_endpoint_auth_method: 'client_secret_post' }))],
    ['no redirect URI', () => server.put(documentAt(ID, { redirect_uris: [] }))],
    [
      'no redirect URI that is allowed',
      () => server.put(documentAt(ID, { redirect_uris: ['https://evil.com/callback'] })),
    ],
    ['something compressed', () => server.put(documentAt(ID), ID, { 'content-encoding': 'gzip' })],
    [
      'a name that leads inside',
      () => void (server.options.resolve = async () => [{ address: '10.0.0.1', family: 4 }]),
    ],
  ]

  test.each(ends)('T91 %s: nobody begins anew, who is logged in stays so', async (_, change) => {
    server.put(documentAt(ID))
    const { client, tokens } = await proxy.tokens(clientOf())
    const underWay = await proxy.login(clientOf())
    change()
    proxy.pass(HOUR)
    expect(await begins()).toBe(false)

    // Time has passed for the code of that login too; only whether its client is known is in question.
    await refusal(await proxy.token(codeFields(underWay)), 400, 'invalid_grant')
    const next = await granted(await proxy.refresh(client, tokens.refresh_token))
    expect((await proxy.mcp(next.access_token)).status).toBe(200)
    proxy.pass(20 * DAY)
    await proxy.restart()
    const last = await granted(await proxy.refresh(client, next.refresh_token))
    const revoked = await proxy.fetch('/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token: last.refresh_token, client_id: ID }),
    })
    expect(revoked.status).toBe(200)
    expect((await proxy.mcp(last.access_token)).status).toBe(401)
  })

  test('T91 a code that was already given is still redeemed', async () => {
    server.put(documentAt(ID), ID, { 'cache-control': 'max-age=0' })
    expect(await begins()).toBe(true)
    proxy.pass(4 * MINUTE)
    const login = await proxy.login(clientOf())
    server.remove(ID)
    proxy.pass(MINUTE)
    expect(await begins()).toBe(false)
    await granted(await proxy.token(codeFields(login)))
  })
})

describe('many at once', () => {
  test('T91 all who want the same document share one request, and count as one for the limit', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => void (release = resolve))
    server.answer = (_request, response) =>
      void held.then(() =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(documentAt(ID))),
      )
    proxy.address = '192.0.2.1'
    const answers = statuses(Array.from({ length: 50 }, () => authorize(proxy)))
    await expect.poll(() => server.asked.length, { timeout: 10_000 }).toBe(1)
    release()
    expect(await answers).toEqual({ 303: 50 })
    expect([server.asked.length, server.resolved.length]).toEqual([1, 1])
  })

  test('T91 a failure is shared as well', async () => {
    expect(await statuses(Array.from({ length: 50 }, () => authorize(proxy)))).toEqual({ 400: 50 })
    expect([server.asked.length, server.resolved.length]).toEqual([1, 1])
  })

  test('T91 ten documents are fetched at once, and no more; who came too late may come again', async () => {
    const held: (() => void)[] = []
    server.answer = (request, response) =>
      void held.push(() =>
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify(documentAt(`https://client.mcp-test.com${request.url}`))),
      )
    const client = (index: number) => clientOf(`https://client.mcp-test.com/${index}`)
    const first = statuses(Array.from({ length: 10 }, (_, index) => authorize(proxy, client(index))))
    await expect.poll(() => held.length, { timeout: 10_000 }).toBe(10)
    expect((await authorize(proxy, client(10))).status).toBe(503)
    expect(server.resolved.length).toBe(10)
    for (const release of held) release()
    expect(await first).toEqual({ 303: 10 })
    const late = begins(client(10))
    await expect.poll(() => held.length, { timeout: 10_000 }).toBe(11)
    held[10]?.()
    expect(await late).toBe(true)
  })

  test('T91 one that is never answered takes its place for a while only', async () => {
    server.options.patience = 100
    server.answer = () => {}
    for (let round = 0; round < 2; round++) {
      const clients = Array.from({ length: 10 }, (_, index) =>
        clientOf(`https://client.mcp-test.com/${round}/${index}`),
      )
      expect(await statuses(clients.map((client) => authorize(proxy, client)))).toEqual({ 400: 10 })
    }
    server.put(documentAt(ID))
    delete server.options.patience
    expect(await begins()).toBe(true)
  })

  test('T91 an address has 30 documents fetched at once and 10 a minute after that; others are not held back by it', async () => {
    const client = () => clientOf(`https://client.mcp-test.com/${Math.random()}`)
    proxy.address = '192.0.2.1'
    for (let count = 0; count < 30; count++) expect((await authorize(proxy, client())).status).toBe(400)
    const held = await authorize(proxy, client())
    await refusalPage(held, 429)
    expect(held.headers.get('retry-after')).toBe('6')
    expect(server.asked.length).toBe(30)

    // Neither what is known, nor what has just failed, is a fetch.
    proxy.address = '192.0.2.2'
    server.put(documentAt(ID))
    expect(await begins()).toBe(true)
    proxy.address = '192.0.2.1'
    expect(await begins()).toBe(true)
    expect(server.asked.length).toBe(31)

    proxy.pass(MINUTE)
    for (let count = 0; count < 10; count++) expect((await authorize(proxy, client())).status).toBe(400)
    expect((await authorize(proxy, client())).status).toBe(429)
    expect(server.asked.length).toBe(41)
  })

  test('T91 being held back is no failure of the document', async () => {
    proxy.address = '192.0.2.1'
    for (let count = 0; count < 30; count++) await authorize(proxy, clientOf(`https://client.mcp-test.com/${count}`))
    server.put(documentAt(ID))
    expect((await authorize(proxy)).status).toBe(429)
    proxy.address = '192.0.2.2'
    expect(await begins()).toBe(true)
  })
})

describe('the token endpoint', () => {
  const endpoints = [
    ['/token', { grant_type: 'refresh_token', refresh_token: 'x' }],
    ['/token', { grant_type: 'authorization_code', code: 'x', code_verifier: 'x'.repeat(43) }],
    ['/revoke', { token: 'x' }],
  ] as const
  test.each(endpoints)('T91 %s has nothing fetched on a stranger’s word: 401', async (path, fields) => {
    server.put(documentAt(ID))
    for (const client_id of [
      ID,
      'https://client.mcp-test.com/2',
      'https://localhost/x',
      'http://client.mcp-test.com/',
    ]) {
      const response = await proxy.fetch(path, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ ...fields, client_id }),
      })
      await refusal(response, 401, 'invalid_client')
    }
    expect([server.resolved, server.connections]).toEqual([[], 0])
  })

  test('T91 a login that begins in one process ends in another one that never read the document', async () => {
    server.put(documentAt(ID))
    const login = await proxy.login(clientOf())
    await server.stop()
    const second = await openOAuth({ dataDir: proxy.dataDir, documentFetch: server.options })
    try {
      const tokens = await granted(await second.token(codeFields(login)))
      const next = await granted(await second.refresh(clientOf(), tokens.refresh_token))
      await granted(await proxy.refresh(clientOf(), next.refresh_token))
      expect(server.asked.length).toBe(1)
    } finally {
      await second.close()
    }
  })
})

describe('what the operator says', () => {
  test('T91 cimdHosts: documents of these hosts and of no others; nobody is asked about them', async () => {
    const other = clientOf('https://other.mcp-test.com/client.json')
    server.put(documentAt(ID))
    server.put(documentAt(other.client_id))
    const { tokens } = await proxy.tokens(other)
    expect(server.asked.length).toBe(1)
    await proxy.restart({ options: { cimdHosts: ['client.mcp-test.com'] } })
    expect([await begins(), await begins(other)]).toEqual([true, false])
    expect(await begins(clientOf('https://mcp-test.com/client.json'))).toBe(false)
    expect(server.resolved).toEqual(['other.mcp-test.com', 'client.mcp-test.com'])
    // It is a decision of the operator: this one does end logins.
    await refusal(await proxy.refresh(other, tokens.refresh_token), 401, 'invalid_client')
  })

  test.each([
    ['https://claude.ai'],
    ['claude.ai/'],
    ['Claude.ai'],
    ['claude.ai:443'],
    ['*.claude.ai'],
    ['claude'],
    [''],
  ])('T91 cimdHosts: %s could never be one', async (host) => {
    await expect(openDocumented({ options: { cimdHosts: [host] } })).rejects.toMatchObject({ code: 'ERR_PROXY_CONFIG' })
  })
})

test('T91 a document that cannot be kept is used all the same, and the operator told', async () => {
  const storage = riggedStorage()
  const opened = await openDocumented({ storage: storage.plugin })
  opened.server.put(documentAt(ID))
  storage.before = (step) => {
    if (step.what === 'write' && collectionOf(step)?.startsWith('cimd') === true) throw diskError()
  }
  expect((await authorize(opened.proxy)).status).toBe(303)
  expect(opened.proxy.log()).toContain('client metadata could not be kept')
  await opened.proxy.tokens(clientOf())
  expect(opened.server.asked.length).toBe(1)
  await opened.close()
})
