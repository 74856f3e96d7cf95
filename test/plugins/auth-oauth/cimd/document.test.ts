import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { refusalPage } from '../../../fixtures/oauth/answers.ts'
import { refusal } from '../../../fixtures/oauth/token-answers.ts'
import { codeFields } from '../../../fixtures/oauth/proxy.ts'
import { authorize, clientOf, documentAt, HOUR, openDocumented, type DocumentedProxy } from './support.ts'

let opened: DocumentedProxy
let count = 0
beforeAll(async () => void (opened = await openDocumented()))
beforeEach(() => opened.proxy.pass(HOUR))
afterAll(() => opened.close())

/** A URL that nothing is known of yet. */
const newId = (): string => `https://client.mcp-test.com/${++count}`

/** Puts a document at a new URL and begins to authorize its client. */
function tryDocument(more: object, headers?: Record<string, string>): Promise<Response> {
  const id = newId()
  opened.server.put(documentAt(id, more))
  return authorize(opened.proxy, clientOf(id), headers)
}

describe('the client_id in a document', () => {
  const id = 'https://client.mcp-test.com/a/Client.json'
  test.each([
    ['the path in lower case', 'https://client.mcp-test.com/a/client.json'],
    ['the host in capitals', 'https://CLIENT.mcp-test.com/a/Client.json'],
    ['the scheme in capitals', 'HTTPS://client.mcp-test.com/a/Client.json'],
    ['the default port', 'https://client.mcp-test.com:443/a/Client.json'],
    ['a slash at the end', `${id}/`],
    ['a percent-encoded letter', 'https://client.mcp-test.com/a/%43lient.json'],
    ['a dot segment', 'https://client.mcp-test.com/a/./Client.json'],
    ['a query', `${id}?x=1`],
    ['an empty query', `${id}?`],
    ['a fragment', `${id}#`],
    ['http', 'http://client.mcp-test.com/a/Client.json'],
    ['a dot after the host', 'https://client.mcp-test.com./a/Client.json'],
    ['a user', 'https://x@client.mcp-test.com/a/Client.json'],
    ['a space before it', ` ${id}`],
    ['a space after it', `${id} `],
    ['a line break after it', `${id}\n`],
    ['another host', 'https://claude.ai/oauth/mcp-oauth-client-metadata'],
    ['another path', 'https://client.mcp-test.com/b'],
    ['the beginning of it', 'https://client.mcp-test.com/a/'],
    ['nothing', ''],
  ])('T90 %s instead of the URL itself: somebody’s copy, refused', async (_, written) => {
    opened.server.put(documentAt(written), id)
    const text = await refusalPage(await authorize(opened.proxy, clientOf(id)))
    expect(text).toContain('not known')
    expect(opened.proxy.log()).toContain('client metadata at client.mcp-test.com cannot be used: its client_id is not')
  })

  test.each([
    ['a number', 1],
    ['null', null],
    ['a list', [id]],
    ['an object', { id }],
    ['nothing at all', undefined],
  ])('T90 %s: refused', async (_, client_id) => {
    opened.server.put({ ...documentAt(id), client_id: client_id as never }, id)
    await refusalPage(await authorize(opened.proxy, clientOf(id)))
  })

  test('T90 to the letter it is taken, and so is one that is percent-encoded: that is another client', async () => {
    for (const written of [
      id,
      'https://client.mcp-test.com/a/%43lient.json',
      'https://client.mcp-test.com/a/Client.json/',
    ]) {
      opened.server.put(documentAt(written))
      expect((await authorize(opened.proxy, clientOf(written))).status).toBe(303)
    }
  })
})

test('T90 a query makes another client: each has its own document, logins and record', async () => {
  const { proxy, server } = await openDocumented()
  const ids = ['?x=1', '?x=2', '?x=1&', '?x=%31', '', '//?x=1', '?'].map(
    (end) => `https://client.mcp-test.com/client${end}`,
  )
  for (const [index, id] of ids.entries()) {
    server.put(documentAt(id, { client_name: `Client number ${index}`, redirect_uris: [`http://localhost/${index}`] }))
  }
  const check = async (): Promise<void> => {
    for (const [index, id] of ids.entries()) {
      const own = clientOf(id, `http://localhost/${index}`)
      expect((await proxy.toConsent(proxy.browser(), proxy.request(own).url)).page).toContain(`Client number ${index}`)
      await refusalPage(await authorize(proxy, clientOf(id, `http://localhost/${(index + 1) % ids.length}`)))
    }
  }
  await check()
  expect(server.asked.map(({ url }) => url)).toEqual(ids)

  const login = await proxy.login(clientOf(ids[0], 'http://localhost/0'))
  for (const id of ids.slice(1)) {
    await refusal(await proxy.token({ ...codeFields(login), client_id: id }), 400, 'invalid_grant')
  }
  expect((await proxy.token(codeFields(login))).status).toBe(200)

  // Nor does the store merge them.
  await server.stop()
  await proxy.restart()
  await check()
  await proxy.close()
})

describe('how the client proves who it is', () => {
  test.each([
    ['client_secret_post', { token_endpoint_auth_method: 'client_secret_post' }],
    ['client_secret_basic', { token_endpoint_auth_method: 'client_secret_basic' }],
    ['client_secret_jwt', { token_endpoint_auth_method: 'client_secret_jwt' }],
    ['private_key_jwt', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [] } }],
    ['tls_client_auth', { token_endpoint_auth_method: 'tls_client_auth' }],
    ['something unknown', { token_endpoint_auth_method: 'attest_jwt_client_auth' }],
    ['none in capitals', { token_endpoint_auth_method: 'NONE' }],
    ['nothing', { token_endpoint_auth_method: '' }],
    ['a list', { token_endpoint_auth_method: ['none'] }],
    ['a secret', { client_secret: 'x'.repeat(32) }],
    ['a secret that is null', { client_secret: null }],
    ['the end of a secret', { client_secret_expires_at: 0 }],
    [
      'private_key_jwt with other methods, none not among them',
      {
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_methods_supported: ['private_key_jwt', 'tls_client_auth'],
      },
    ],
    [
      'a secret, though it could do without',
      { token_endpoint_auth_method: 'client_secret_post', token_endpoint_auth_methods_supported: ['none'] },
    ],
    ['methods that are no list', { token_endpoint_auth_methods_supported: 'none' }],
  ])('T92 %s: refused, for a person and for a program', async (_, more) => {
    await refusalPage(await tryDocument(more))
    const response = await tryDocument(more, { accept: 'application/json' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: 'invalid_client' })
  })

  test.each([
    ['none', { token_endpoint_auth_method: 'none' }],
    ['not said', { token_endpoint_auth_method: undefined }],
    ['null', { token_endpoint_auth_method: null, token_endpoint_auth_methods_supported: null }],
    ['none, and keys for something else', { jwks_uri: 'https://client.mcp-test.com/jwks' }],
    [
      'private_key_jwt, or none where need be',
      {
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
      },
    ],
  ])('T92 %s: a public client', async (_, more) => {
    expect((await tryDocument(more)).status).toBe(303)
  })

  test('T92 a public client with a secret, in the body or in the header, is mistaken for another: 401', async () => {
    const { proxy, server } = opened
    const id = newId()
    server.put(documentAt(id))
    const login = await proxy.login(clientOf(id))
    const { client_id, ...rest } = codeFields(login)
    await refusal(await proxy.token({ ...codeFields(login), client_secret: 'x' }), 401, 'invalid_client')
    const basic = Buffer.from(`${encodeURIComponent(client_id ?? '')}:secret`).toString('base64')
    await refusal(await proxy.token(rest, { authorization: `Basic ${basic}` }), 401, 'invalid_client')
    expect((await proxy.token(codeFields(login))).status).toBe(200)
  })
})

describe('the rest of a document', () => {
  test.each<[string, unknown]>([
    ['null', null],
    ['a list', [documentAt('https://client.mcp-test.com/list')]],
    ['text', 'client'],
    ['a number', 1],
    ['an object with nothing in it', {}],
  ])('T89 %s: refused', async (_, document) => {
    const id = newId()
    opened.server.put(document as { client_id: string }, id)
    await refusalPage(await authorize(opened.proxy, clientOf(id)))
  })

  test.each<[string, object]>([
    ['no redirect_uris', { redirect_uris: undefined }],
    ['no redirect URI in redirect_uris', { redirect_uris: [] }],
    ['redirect_uris that are text', { redirect_uris: 'http://localhost/callback' }],
    ['a redirect URI that is no text', { redirect_uris: ['http://localhost/callback', 1] }],
    ['null among the redirect URIs', { redirect_uris: [null] }],
    ['51 redirect URIs', { redirect_uris: Array.from({ length: 51 }, (_, index) => `http://localhost/${index}`) }],
    ['a name that is no text', { client_name: { en: 'Client' } }],
  ])('T89 %s: refused', async (_, more) => {
    await refusalPage(await tryDocument(more))
  })

  test('T89 a redirect URI that is not allowed here is as good as not there; without another the client is refused', async () => {
    const { proxy, server } = opened
    const bad = [
      'http://evil.com/callback',
      'https://evil.com/callback',
      'javascript:alert(1)',
      'http://localhost/callback#x',
    ]
    const id = newId()
    server.put(documentAt(id, { redirect_uris: [...bad, 'http://localhost/callback'] }))
    for (const uri of bad) await refusalPage(await authorize(proxy, clientOf(id, uri)))
    expect((await authorize(proxy, clientOf(id))).status).toBe(303)

    await refusalPage(await tryDocument({ redirect_uris: bad }))
    expect(proxy.log()).toContain('none of its redirect_uris is allowed here; see MCP_ALLOWED_REDIRECT_URIS')
  })

  test('T89 the name is shown without what could deceive, and a client without one under its host', async () => {
    const { proxy, server } = opened
    const consent = async (more: object): Promise<string> => {
      const id = newId()
      server.put(documentAt(id, more))
      const { page } = await proxy.toConsent(proxy.browser(), proxy.request(clientOf(id)).url)
      return page.replaceAll(/<[^>]*>/g, '').replaceAll(/\s+/g, ' ')
    }
    const named = await consent({ client_name: '\u202EClaude\n<b>”\0' })
    expect(named).toContain('client.mcp-test.com, which calls itself “Claude &lt;b&gt;”')
    expect(named).not.toMatch(/[\u202E\0]/)
    expect(named).not.toContain('name not verified')
    for (const client_name of [undefined, null, '', ' \u200B']) {
      const page = await consent({ client_name })
      expect(page).toContain('“client.mcp-test.com” wants to connect')
      expect(page).not.toContain('calls itself')
    }
  })

  test('T89 __proto__ and the like in a document change nothing', async () => {
    const { proxy, server } = opened
    const id = newId()
    const text = JSON.stringify(documentAt(id, { token_endpoint_auth_method: 'client_secret_post' }))
    const polluting = text.replace(
      '{',
      '{"__proto__":{"token_endpoint_auth_method":"none","client_id":"x"},"constructor":1,',
    )
    const { answer } = server
    server.answer = (_request, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(polluting)
    await refusalPage(await authorize(proxy, clientOf(id)))
    server.answer = answer
    expect(({} as Record<string, unknown>)['token_endpoint_auth_method']).toBeUndefined()
  })
})
