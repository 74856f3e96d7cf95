import { afterEach, expect, test } from 'vitest'
import { openOAuth, ORIGIN, type OAuthProxy } from '../../fixtures/oauth/proxy.ts'

let proxy: OAuthProxy
afterEach(() => proxy.close())

test('discover, register, consent, log in, use, refresh, revoke', async () => {
  proxy = await openOAuth()
  const refused = await proxy.mcp()
  expect(refused.status).toBe(401)
  expect(refused.headers.get('www-authenticate')).toBe(
    `Bearer resource_metadata="${ORIGIN}/.well-known/oauth-protected-resource/mcp", scope="mcp:use"`,
  )
  const { client, tokens } = await proxy.tokens()
  expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: 'mcp:use offline_access' })
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)

  const refreshed = await proxy.refresh(client, tokens.refresh_token)
  expect(refreshed.status).toBe(200)
  const next = (await refreshed.json()) as typeof tokens
  expect(next.refresh_token).not.toBe(tokens.refresh_token)
  expect((await proxy.mcp(next.access_token)).status).toBe(200)
  expect(proxy.source.asked.filter(({ what }) => what === 'refresh')).toEqual([
    { what: 'refresh', kept: { token: 'upstream-secret-0' } },
  ])

  const revoked = await proxy.fetch(`${ORIGIN}/revoke`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: next.refresh_token ?? '', client_id: client.client_id }),
  })
  expect(revoked.status).toBe(200)
  expect((await proxy.mcp(next.access_token)).status).toBe(401)
  expect((await proxy.refresh(client, next.refresh_token)).status).toBe(400)
})
