import { expect, test } from 'vitest'
import type { JsonValue } from '../../../core/index.ts'
import { oidcSource, type OidcSettings } from '../../../plugins/auth-oidc/index.ts'
import { atCallback, openBrowser, walk } from '../../fixtures/oidc/browser.ts'
import type { IdentityProvider } from '../../fixtures/oidc/provider.ts'
import { ORIGIN, settingsFor } from '../../fixtures/oidc/proxy.ts'
import { createStage } from '../../fixtures/oidc/stage.ts'
import { captureLog } from '../../harness.ts'

const stage = createStage()
const callback = `${ORIGIN}/auth/callback`

/** The source alone, without an authorization server before it. */
function open(idp: IdentityProvider, more: Partial<OidcSettings> = {}) {
  const end = new AbortController()
  const { logger } = captureLog()
  const { signal } = end
  const source = oidcSource({ ...settingsFor(idp), ...more }, { signal, logger })
  async function login() {
    const state = 's'.repeat(43)
    const { url, kept = null } = await source.begin({ state, callback, signal })
    const back = await walk(openBrowser(fetch), url, { until: atCallback })
    return source.finish({ url: back, state, callback, kept, signal })
  }
  return { source, signal, end, login }
}

test('vouches for a person: issuer, subject, address, name; what is kept is a refresh token', async () => {
  const idp = await stage.provider()
  const identified = await open(idp).login()
  expect(identified).toEqual({
    identity: {
      issuer: idp.issuer,
      subject: 'auth0|alice',
      email: 'alice@example.com',
      emailVerified: true,
      name: 'Name of auth0|alice',
    },
    kept: { refreshToken: expect.any(String), identity: identified.identity },
  })
})

for (const life of [1e308, Number.MAX_SAFE_INTEGER]) {
  test(`a life of ${life} s is no life without end`, async () => {
    const idp = await stage.provider()
    idp.knobs.offline = false
    idp.knobs.rewrite.token = ({ body }) => (body.expires_in = life)
    const { expires = 0, kept } = await open(idp).login()
    expect(kept).toBeUndefined()
    expect(expires).toBeLessThan(Date.now() + 367 * 86_400_000)
    expect(expires).toBeGreaterThan(Date.now() + 365 * 86_400_000)
  })
}

test('several who ask again with one refresh token share one request, and the new one is kept once', async () => {
  const idp = await stage.provider()
  const { source, signal, login } = open(idp)
  const { kept = null } = await login()
  const heard: JsonValue[] = []
  const keep = async (next: JsonValue): Promise<void> => void heard.push(next)
  const all = await Promise.all(Array.from({ length: 5 }, async () => source.refresh?.(kept, signal, keep)))
  expect(new Set(all.map((identified) => JSON.stringify(identified))).size).toBe(1)
  expect(heard).toEqual([all[0]?.kept])
  expect(heard[0]).not.toEqual(kept)
  expect(idp.count('token', 'refresh_token')).toBe(1)
  // Afterwards it is over: the old token is used up, and the provider says so.
  await expect(source.refresh?.(kept, signal, keep)).rejects.toMatchObject({ name: 'SourceError', failure: 'ended' })
})

test('what cannot be kept is no reason to lose the answer', async () => {
  const idp = await stage.provider()
  const { source, signal, login } = open(idp)
  const { kept = null } = await login()
  const full = (): Promise<void> => Promise.reject(new Error('no space left on device'))
  const again = await source.refresh?.(kept, signal, full)
  expect(again?.identity.subject).toBe('auth0|alice')
  expect((await source.refresh?.(again?.kept ?? null, signal, full))?.identity.subject).toBe('auth0|alice')
})

test('where refresh tokens do not rotate nothing has to be kept in between', async () => {
  const idp = await stage.provider()
  idp.knobs.rotation = 'none'
  idp.knobs.rewrite.token = ({ body }) => void (idp.count('token') > 0 && delete body.refresh_token)
  const { source, signal, login } = open(idp)
  const { kept = null } = await login()
  const heard: JsonValue[] = []
  const again = await source.refresh?.(kept, signal, async (next) => void heard.push(next))
  expect(again?.kept).toEqual(kept)
  expect(heard).toEqual([])
})

test('every attempt has a verifier and a nonce of its own', async () => {
  const idp = await stage.provider()
  const { source, signal } = open(idp)
  const begun = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => source.begin({ state: `state-${index}`, callback, signal })),
  )
  const kept = begun.map((one) => one.kept as { verifier: string; nonce: string })
  expect(new Set(kept.flatMap(({ verifier, nonce }) => [verifier, nonce])).size).toBe(40)
  for (const [index, { url }] of begun.entries()) {
    expect(new URL(url).searchParams.get('state')).toBe(`state-${index}`)
    expect(url).not.toContain(kept[index]?.verifier)
  }
})

test('requests end with the proxy', async () => {
  const idp = await stage.provider()
  const { source, signal, end, login } = open(idp)
  const { kept = null } = await login()
  let arrived = (): void => {}
  const arrival = new Promise<void>((resolve) => (arrived = resolve))
  idp.knobs.rewrite.token = () => {
    arrived()
    return new Promise(() => {})
  }
  const refreshing = source.refresh?.(kept, signal, async () => {})
  await arrival
  end.abort()
  await expect(refreshing).rejects.toMatchObject({ name: 'SourceError', failure: 'unavailable' })
})
