import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { OAuthOptions } from '../../../../plugins/auth-oauth/index.ts'
import { handedBack, refusalPage } from '../../../fixtures/oauth/answers.ts'
import { openDocumentServer, type DocumentServer } from '../../../fixtures/oauth/document-server.ts'
import { codeFields, openOAuth, ORIGIN, type OAuthProxy } from '../../../fixtures/oauth/proxy.ts'
import { granted, refusal } from '../../../fixtures/oauth/token-answers.ts'
import { authorize, clientOf, DAY, documentAt, HOUR, ID } from './support.ts'

/** Documents as their hosts publish them. */
const CLAUDE = {
  client_id: 'https://claude.ai/oauth/mcp-oauth-client-metadata',
  client_name: 'Claude',
  client_uri: 'https://claude.ai',
  redirect_uris: ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback'],
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}
const CLAUDE_CODE = {
  client_id: 'https://claude.ai/oauth/claude-code-client-metadata',
  client_name: 'Claude Code',
  redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}
const CHATGPT = {
  client_id: 'https://chatgpt.com/oauth/client.json',
  client_uri: 'https://chatgpt.com/',
  redirect_uris: ['https://chatgpt.com/connector_platform_oauth_redirect'],
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  client_name: 'ChatGPT',
  token_endpoint_auth_signing_alg: 'RS256',
  jwks_uri: 'https://chatgpt.com/oauth/jwks.json',
}

const logins: [string, typeof CLAUDE | typeof CLAUDE_CODE | typeof CHATGPT, string, string][] = [
  ['Claude', CLAUDE, 'https://claude.ai/api/mcp/auth_callback', 'claude.ai'],
  ['Claude at its other host', CLAUDE, 'https://claude.com/api/mcp/auth_callback', 'claude.ai'],
  ['Claude Code', CLAUDE_CODE, 'http://localhost:3118/callback', 'claude.ai'],
  ['Claude Code with an address', CLAUDE_CODE, 'http://127.0.0.1:54321/callback', 'claude.ai'],
  ['Claude Code without a port', CLAUDE_CODE, 'http://localhost/callback', 'claude.ai'],
  ['ChatGPT', CHATGPT, 'https://chatgpt.com/connector_platform_oauth_redirect', 'chatgpt.com'],
]

let server: DocumentServer
let proxy: OAuthProxy
beforeEach(async () => {
  server = await openDocumentServer()
  proxy = await openOAuth({ documentFetch: server.options })
})
afterEach(async () => {
  await proxy.close()
  await server.stop()
})

const textOf = (page: string): string => page.replaceAll(/<style>.*?<\/style>|<[^>]*>/gs, '').replaceAll(/\s+/g, ' ')

/** Discovery, as clients do it; resolves the metadata of the server. */
async function discover(): Promise<Record<string, unknown>> {
  const response = await proxy.fetch(`${ORIGIN}/.well-known/oauth-authorization-server`)
  expect(response.status).toBe(200)
  return (await response.json()) as Record<string, unknown>
}

test('T91 documents are offered, and clients without a secret: Claude wants both', async () => {
  const metadata = await discover()
  expect(metadata['client_id_metadata_document_supported']).toBe(true)
  expect(metadata['token_endpoint_auth_methods_supported']).toContain('none')
})

test.each(logins)(
  'T91 %s logs in by its document, and stays logged in without it',
  async (_, document, redirectUri, host) => {
    server.put(document, document.client_id, { 'cache-control': 'public, max-age=300' })
    const client = clientOf(document.client_id, redirectUri)
    const browser = proxy.browser()
    const { url, verifier } = proxy.request(client)
    const { page, fields } = await proxy.toConsent(browser, url)
    expect(page).toContain(`<strong>${host}</strong>, which calls itself “${document.client_name}”`)
    expect(textOf(page)).not.toContain('not verified')
    expect(textOf(page)).toContain(
      redirectUri.startsWith('https:')
        ? new URL(redirectUri).host
        : `${new URL(redirectUri).hostname} – a program on this computer`,
    )
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    const away = new URL(approved.headers.get('location') ?? '')
    const back = await browser.get(`/auth/callback?state=${away.searchParams.get('state')}`)
    const { code = '', state } = handedBack(back, redirectUri)
    expect(state).toBe('client state')
    expect(server.asked.map(({ url }) => url)).toEqual([document.client_id])

    const tokens = await granted(await proxy.token(codeFields({ client, code, verifier })))
    expect((await proxy.mcp(tokens.access_token)).status).toBe(200)

    await server.stop()
    const second = await granted(await proxy.refresh(client, tokens.refresh_token))
    proxy.pass(HOUR)
    await proxy.restart()
    const third = await granted(await proxy.refresh(client, second.refresh_token))
    proxy.pass(8 * DAY)
    await proxy.restart()
    const fourth = await granted(await proxy.refresh(client, third.refresh_token))
    expect((await proxy.mcp(fourth.access_token)).status).toBe(200)
    expect(server.asked.length).toBe(1)
  },
)

test.each([
  ['another path', 'http://localhost:3118/other'],
  ['another host', 'http://[::1]:3118/callback'],
  ['https', 'https://localhost:3118/callback'],
  ['a host that begins the same', 'http://localhost.evil.com:3118/callback'],
  ['a user', 'http://localhost@evil.com/callback'],
  ['the callback of the other client', 'https://claude.ai/api/mcp/auth_callback'],
])('T91 Claude Code may come back to any port, but not to %s', async (_, redirectUri) => {
  server.put(CLAUDE_CODE)
  await refusalPage(await authorize(proxy, clientOf(CLAUDE_CODE.client_id, redirectUri)))
})

describe('where the host of a document shuts the proxy out', () => {
  const known = [CLAUDE, CLAUDE_CODE].map((document) => [document.client_name, document] as const)

  test.each(known)('T91 %s is known without its document', async (_, document) => {
    server.answer = (_request, response) =>
      void response.writeHead(403, { 'content-type': 'text/html' }).end('<html>Just a moment…</html>')
    const [redirectUri = ''] = document.redirect_uris
    const client = clientOf(document.client_id, redirectUri)
    const { page } = await proxy.toConsent(proxy.browser(), proxy.request(client).url)
    expect(page).toContain(`<strong>claude.ai</strong>, which calls itself “${document.client_name}”`)
    const { tokens } = await proxy.tokens(client)
    await server.stop()
    await proxy.restart()
    await granted(await proxy.refresh(client, tokens.refresh_token))
  })

  test.each(known)('T91 what is published for %s counts more, also that there is nothing', async (_, document) => {
    const [redirectUri = ''] = document.redirect_uris
    const client = clientOf(document.client_id, redirectUri)
    server.put({ ...document, redirect_uris: ['http://127.0.0.1/new'] })
    await refusalPage(await authorize(proxy, client))
    server.remove(document.client_id)
    proxy.pass(HOUR)
    await refusalPage(await authorize(proxy, client))
    proxy.pass(HOUR)
    server.put(document)
    expect((await authorize(proxy, client)).status).toBe(303)
  })

  test('T91 with documents off, or of other hosts only, it is not known', async () => {
    await server.stop()
    const ways: OAuthOptions[] = [{ cimd: 'off' }, { cimdHosts: ['client.mcp-test.com'] }]
    for (const options of ways) {
      await proxy.restart({ options })
      await refusalPage(await authorize(proxy, clientOf(CLAUDE.client_id, CLAUDE.redirect_uris[0])))
    }
  })
})

describe("cimd: 'off'", () => {
  test('T91 documents are not offered, and none is fetched', async () => {
    server.put(documentAt(ID))
    await proxy.restart({ options: { cimd: 'off' } })
    const metadata = await discover()
    expect(metadata).not.toHaveProperty('client_id_metadata_document_supported')
    expect(metadata).toHaveProperty('registration_endpoint')
    for (const id of [ID, CLAUDE.client_id]) await refusalPage(await authorize(proxy, clientOf(id)))
    expect([server.resolved, server.connections]).toEqual([[], 0])
  })

  test('T91 it ends the logins of such clients', async () => {
    server.put(documentAt(ID))
    const { client, tokens } = await proxy.tokens(clientOf())
    await proxy.restart({ options: { cimd: 'off' } })
    await refusal(await proxy.refresh(client, tokens.refresh_token), 401, 'invalid_client')
  })
})
