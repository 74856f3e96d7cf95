import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EncryptJWT, exportJWK, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createKeys, type KeyPurpose } from '../../../../core/keys.ts'
import { definePlugin } from '../../../../core/plugin.ts'
import { memoryDriver } from '../../../../core/store/memory.ts'
import streamable from '../../../../plugins/transport-streamable/index.ts'
import { ALL } from '../../../fixtures/core/asked.ts'
import { openBrowser } from '../../../fixtures/oauth/browser.ts'
import { openOAuth, ORIGIN, type OAuthProxy, type OAuthProxyOptions } from '../../../fixtures/oauth/proxy.ts'
import { recordsOf } from '../../../fixtures/oauth/records.ts'
import { modernRequest, openTools, withToken } from '../../../fixtures/oauth/tools.ts'
import { headerLines, openWire, statusOf } from '../../../fixtures/oauth/wire.ts'
import { json, serve } from '../../../fixtures/transport/http-server.ts'
import { messagesOf, openLegacy } from '../../../harness.ts'

const SECRET = 'the secret of the proxy under test has more than 32 bytes'
const KEYS = createKeys([SECRET])
const [RING] = KEYS.subKeys('jwt')
const KID = RING?.kid ?? ''
const KEY = RING?.key ?? new Uint8Array()
const RESOURCE = `${ORIGIN}/mcp`
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })

const CHALLENGE = `Bearer resource_metadata="${ORIGIN}/.well-known/oauth-protected-resource/mcp", scope="mcp:use"`
const INVALID =
  'Bearer error="invalid_token", error_description="The access token is invalid, expired or revoked.", ' +
  CHALLENGE.slice('Bearer '.length)

const closing: (() => Promise<unknown>)[] = []
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
  closing.push(async () => vi.useRealTimers())
})
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function open(given: OAuthProxyOptions = {}): Promise<OAuthProxy> {
  const proxy = await openOAuth({ env: { MCP_SECRET: SECRET }, ...given })
  closing.push(proxy.close)
  return proxy
}

type Parts = Record<string, unknown>

/** A token of the proxy, taken apart. */
interface Genuine {
  readonly token: string
  readonly header: Parts
  readonly claims: Parts
}

async function genuine(proxy: OAuthProxy): Promise<Genuine> {
  const { tokens } = await proxy.tokens()
  const [header, claims] = tokens.access_token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
  return { token: tokens.access_token, header: JSON.parse(header ?? ''), claims: JSON.parse(claims ?? '') }
}

const encode = (part: unknown): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

/** A JWS by hand: whatever the header says, an HMAC with `key`. */
function forge(header: unknown, claims: unknown, key: Uint8Array | string = KEY, hash = 'sha256'): string {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
}

/** 401 with the challenge of a bad token, and nothing of it in the answer. */
async function expectRefused(response: Response, token?: string): Promise<void> {
  expect(response.status).toBe(401)
  expect(response.headers.get('www-authenticate')).toBe(INVALID)
  expect(response.headers.get('cache-control')).toBe('no-store')
  const text = await response.text()
  expect(JSON.parse(text)).toMatchObject({ error: 'invalid_token' })
  expect(token !== undefined && token.length > 10 && text.includes(token.slice(0, 200))).toBe(false)
}

test('T51 control: a token signed anew with the key and the claims of a genuine one is accepted', async () => {
  const proxy = await open()
  const { token, header, claims } = await genuine(proxy)
  expect(header).toEqual({ alg: 'HS256', kid: KID, typ: 'at+jwt' })
  expect((await proxy.mcp(token)).status).toBe(200)
  expect((await proxy.mcp(forge(header, claims))).status).toBe(200)
})

describe('T51', () => {
  const pem = RSA.publicKey.export({ type: 'spki', format: 'pem' })
  const signedBy = (alg: string, key: KeyObject) => (header: Parts, claims: Parts) =>
    new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(key)
  const flip = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)

  test.each<[string, (header: Parts, claims: Parts, token: string) => string | Promise<string>]>([
    ...['none', 'None', 'NONE', 'nOnE', '', null].flatMap(
      (alg): [string, (header: Parts, claims: Parts) => string][] => [
        [
          `alg ${JSON.stringify(alg)}, no signature`,
          (header, claims) => `${encode({ ...header, alg })}.${encode(claims)}.`,
        ],
        [`alg ${JSON.stringify(alg)}, signed`, (header, claims) => forge({ ...header, alg }, claims)],
      ],
    ),
    ['no alg', ({ alg: _alg, ...header }, claims) => forge(header, claims)],
    [
      'alg none, signature of a genuine token',
      (header, claims, token) => {
        return `${encode({ ...header, alg: 'none' })}.${encode(claims)}.${token.split('.')[2]}`
      },
    ],
    ['empty signature', (_header, _claims, token) => `${token.slice(0, token.lastIndexOf('.'))}.`],
    ['no signature at all', (_header, _claims, token) => token.slice(0, token.lastIndexOf('.'))],
    ['four parts', (_header, _claims, token) => `${token}.`],
    [
      'another signature',
      (_header, _claims, token) => {
        const dot = token.lastIndexOf('.') + 1
        return token.slice(0, dot) + flip(token.slice(dot))
      },
    ],
    ['a cut signature', (_header, _claims, token) => token.slice(0, -2)],
    [
      'other claims under a genuine signature',
      (header, claims, token) => {
        return `${encode(header)}.${encode({ ...claims, exp: Number(claims.exp) + 1 })}.${token.split('.')[2]}`
      },
    ],
    ...[
      ['', 'an empty key'],
      ['secret', 'a well-known key'],
      [SECRET, 'the secret itself, not the key made of it'],
      [KID, 'the id of the key'],
      [ORIGIN, 'the issuer'],
      [Buffer.from(KEY).toString('base64url'), 'the key as text'],
      [String(pem), 'a public key as PEM'],
      [new Uint8Array(32), 'a key of zeros'],
    ].map(([key, what]): [string, (header: Parts, claims: Parts) => string] => [
      `HS256 with ${String(what)}`,
      (header, claims) => forge(header, claims, key),
    ]),
    ['HS384 with the right key', (header, claims) => forge({ ...header, alg: 'HS384' }, claims, KEY, 'sha384')],
    ['HS512 with the right key', (header, claims) => forge({ ...header, alg: 'HS512' }, claims, KEY, 'sha512')],
    ['RS256 in the header, HMAC with the right key', (header, claims) => forge({ ...header, alg: 'RS256' }, claims)],
    ['hs256 in lower case', (header, claims) => forge({ ...header, alg: 'hs256' }, claims)],
    ['RS256 with our kid', signedBy('RS256', RSA.privateKey)],
    ['PS256 with our kid', signedBy('PS256', RSA.privateKey)],
    ['ES256 with our kid', signedBy('ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)],
    ['EdDSA with our kid', signedBy('EdDSA', generateKeyPairSync('ed25519').privateKey)],
  ])('T51 algorithm games: %s → 401', async (_what, make) => {
    const proxy = await open()
    const { token, header, claims } = await genuine(proxy)
    const forged = await make(header, claims, token)
    expect(forged).not.toBe(token)
    await expectRefused(await proxy.mcp(forged), forged)
    expect((await proxy.mcp(token)).status).toBe(200)
  })
})

describe('T52', () => {
  const other = createKeys(['another secret of 32 bytes or more and of nobody here']).subKeys('jwt')[0]

  test.each<[string, unknown]>([
    ['a path', '../../etc/passwd'],
    ['a device', '/dev/null'],
    ['SQL', "' OR '1'='1"],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['10 kB', 'k'.repeat(10_000)],
    ['a number', 0],
    ['null', null],
    ['an array with the right one', [KID]],
    ['an object', { kid: KID }],
    ['an empty text', ''],
    ['the right one in another case', KID.toUpperCase() === KID ? KID.toLowerCase() : KID.toUpperCase()],
    ['the right one with a space', `${KID} `],
    ['that of a secret which is not in the ring', other?.kid],
    ['missing', undefined],
  ])('T52 kid injection: %s → 401, whatever the key', async (_what, kid) => {
    const proxy = await open()
    const { token, header, claims } = await genuine(proxy)
    for (const key of [KEY, other?.key, '', 'undefined', new Uint8Array(32)]) {
      const forged = forge({ ...header, kid }, claims, key)
      await expectRefused(await proxy.mcp(forged), forged)
    }
    expect((await proxy.mcp(token)).status).toBe(200)
  })

  test('T52 kid injection: the name of a file or an address whose content is the key → 401, nothing is read or fetched', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mcp-proxy-kid-'))
    closing.push(() => rm(folder, { recursive: true, force: true }))
    const content = 'a key that everybody knows, in a file'
    const file = join(folder, 'key')
    await writeFile(file, content)
    const site = await serve((_seen, response) => void response.end(content))
    closing.push(site.close)
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    for (const kid of [file, `file://${file}`, site.url]) {
      const forged = forge({ ...header, kid }, claims, content)
      await expectRefused(await proxy.mcp(forged), forged)
    }
    expect(site.requests).toEqual([])
  })
})

describe('T53', () => {
  /** A site of the attacker's, which serves their key in every form. */
  async function keySite() {
    const jwk = { ...(await exportJWK(RSA.publicKey)), kid: KID, alg: 'RS256', use: 'sig' }
    const site = await serve((_seen, response) => json(response, { ...jwk, keys: [jwk] }))
    closing.push(site.close)
    return { site, jwk }
  }
  const naming = ({ site, jwk }: Awaited<ReturnType<typeof keySite>>): Record<string, Parts> => ({
    jku: { jku: site.url },
    x5u: { x5u: site.url },
    jwk: { jwk },
    x5c: { x5c: ['MIIBAA=='], x5t: 'AAAA' },
  })

  test.each(['jku', 'x5u', 'jwk', 'x5c'])(
    "T53 key of the attacker's own in %s → 401, nothing is fetched",
    async (name) => {
      const keys = await keySite()
      const proxy = await open()
      const { header, claims } = await genuine(proxy)
      const named = naming(keys)[name]
      for (const alg of ['RS256', 'HS256']) {
        const whole = { ...header, ...named, alg }
        const forged =
          alg === 'RS256'
            ? await new SignJWT(claims).setProtectedHeader(whole).sign(RSA.privateKey)
            : forge(whole, claims, 'no key of ours')
        await expectRefused(await proxy.mcp(forged), forged)
      }
      expect(keys.site.requests).toEqual([])
    },
  )

  test.each(['jku', 'x5u', 'jwk', 'x5c'])(
    'T53 %s under a genuine signature → ignored, nothing is fetched',
    async (name) => {
      const keys = await keySite()
      const proxy = await open()
      const { header, claims } = await genuine(proxy)
      expect((await proxy.mcp(forge({ ...header, ...naming(keys)[name] }, claims))).status).toBe(200)
      expect(keys.site.requests).toEqual([])
    },
  )

  test.each<[string, Parts]>([
    ['an unknown one', { crit: ['x-unknown'], 'x-unknown': 1 }],
    ['one that is not there', { crit: ['exp'] }],
    ['empty', { crit: [] }],
    ['no list', { crit: 'exp' }],
    ['b64 of false', { crit: ['b64'], b64: false }],
  ])('T53 crit: %s → 401', async (_what, more) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    await expectRefused(await proxy.mcp(forge({ ...header, ...more }, claims)))
  })

  test('T53 b64:false, payload in the clear → 401', async () => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    for (const crit of [{ crit: ['b64'] }, {}]) {
      const text = `${encode({ ...header, b64: false, ...crit })}.${JSON.stringify(claims)}`
      await expectRefused(await proxy.mcp(`${text}.${createHmac('sha256', KEY).update(text).digest('base64url')}`))
    }
  })

  test.each([undefined, null, '', 'JWT', 'jwt', 'at', 'at+jwt+x', 'rt+jwt', 'dpop+jwt', 'logout+jwt', 1, ['at+jwt']])(
    'T53 typ %j → 401',
    async (typ) => {
      const proxy = await open()
      const { header, claims } = await genuine(proxy)
      await expectRefused(await proxy.mcp(forge({ ...header, typ }, claims)))
    },
  )

  test('T53 an encrypted token (JWE) under the right key → 401', async () => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    const encrypted = await new EncryptJWT(claims)
      .setProtectedHeader({ ...header, alg: 'dir', enc: 'A256GCM' })
      .encrypt(KEY)
    await expectRefused(await proxy.mcp(encrypted), encrypted)
    const nested = await new EncryptJWT(claims)
      .setProtectedHeader({ ...header, alg: 'A256KW', enc: 'A256GCM', cty: 'JWT' })
      .encrypt(KEY)
    await expectRefused(await proxy.mcp(nested), nested)
  })
})

describe('T54', () => {
  const now = (): number => Math.floor(Date.now() / 1000)

  test.each<[string, (now: number) => unknown]>([
    ['exp missing', () => ({ exp: undefined })],
    ['exp past', (now) => ({ exp: now - 60 })],
    ['exp past by the whole skew', (now) => ({ exp: now - 5 })],
    ['exp a text far in the future', () => ({ exp: '9999999999' })],
    ['exp a date as text', () => ({ exp: '2999-01-01T00:00:00Z' })],
    ['exp "NaN"', () => ({ exp: 'NaN' })],
    ['exp null, as NaN and Infinity are written', () => ({ exp: Number.NaN })],
    ['exp zero', () => ({ exp: 0 })],
    ['exp negative', () => ({ exp: -1 })],
    ['exp true', () => ({ exp: true })],
    ['exp an array', () => ({ exp: [9_999_999_999] })],
    ['exp an object', () => ({ exp: { valueOf: 9_999_999_999 } })],
    ['nbf in the future', (now) => ({ nbf: now + 60 })],
    ['nbf beyond the skew', (now) => ({ nbf: now + 6 })],
    ['nbf a text', (now) => ({ nbf: String(now) })],
    ['nbf missing', () => ({ nbf: undefined })],
    ['iat in the future', (now) => ({ iat: now + 60 })],
    ['iat beyond the skew', (now) => ({ iat: now + 6 })],
    ['iat a text', (now) => ({ iat: String(now) })],
    ['iat missing', () => ({ iat: undefined })],
    ['far older than any token gets, with a long life left', (now) => ({ iat: now - 200_000, exp: now + 200_000 })],
  ])('T54 %s → 401', async (_what, change) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    await expectRefused(await proxy.mcp(forge(header, { ...claims, ...(change(now()) as Parts) })))
  })

  test.each<[string, (now: number) => unknown]>([
    ['exp past', (now) => ({ exp: now - 4 })],
    ['nbf in the future', (now) => ({ nbf: now + 5 })],
    ['iat in the future', (now) => ({ iat: now + 5 })],
  ])('T54 %s within the skew of 5 s → accepted', async (_what, change) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    const token = forge(header, { ...claims, ...(change(now()) as Parts) })
    expect((await proxy.mcp(token)).status).toBe(200)
    // Once more: what was checked before is remembered.
    expect((await proxy.mcp(token)).status).toBe(200)
  })

  test('T54 a token that was accepted before → 401 once it has expired', async () => {
    const proxy = await open()
    const { token, claims } = await genuine(proxy)
    const life = (Number(claims.exp) - now()) * 1000
    proxy.pass(life - 1000)
    expect((await proxy.mcp(token)).status).toBe(200)
    proxy.pass(6000)
    await expectRefused(await proxy.mcp(token), token)
  })

  test.each(['jti', 'sub', 'gid', 'client_id', 'scope', 'iss', 'aud'])('T54 %s missing → 401', async (name) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    await expectRefused(await proxy.mcp(forge(header, { ...claims, [name]: undefined })))
  })

  test.each<[string, unknown]>([
    ['gid', 7],
    ['gid', ['x']],
    ['gid', { toString: 'x' }],
    ['gid', '__proto__'],
    ['gid', '../../secret'],
    ['gid', ''],
    ['client_id', 7],
    ['client_id', 'mcp_somebody_else'],
    ['scope', ['mcp:use']],
    ['scope', null],
  ])('T54 %s of %j → 401', async (name, value) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    await expectRefused(await proxy.mcp(forge(header, { ...claims, [name]: value })))
  })

  test('T54 the right to use the endpoint missing from the scope → 403 with what is needed', async () => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    for (const scope of ['offline_access', '', 'mcp:usemore', 'MCP:USE']) {
      const response = await proxy.mcp(forge(header, { ...claims, scope }))
      expect(response.status).toBe(403)
      expect(response.headers.get('www-authenticate')).toBe(
        CHALLENGE.replace('Bearer ', 'Bearer error="insufficient_scope", '),
      )
    }
  })

  test.each<[string, unknown]>([
    ['an array', []],
    ['a text', '"text"'],
    ['null', 'null'],
    ['no JSON', '{'],
    ['nothing', ''],
  ])('T54 claims that are %s → 401', async (_what, claims) => {
    const proxy = await open()
    const { header } = await genuine(proxy)
    await expectRefused(await proxy.mcp(forge(header, claims)))
  })
})

describe('T55', () => {
  test.each<[string, Parts]>([
    ['iss of another site', { iss: 'https://evil.example' }],
    ['iss with a slash at its end', { iss: `${ORIGIN}/` }],
    ['iss in another case', { iss: ORIGIN.toUpperCase() }],
    ['iss with the default port', { iss: `${ORIGIN}:443` }],
    ['iss over http', { iss: ORIGIN.replace('https', 'http') }],
    ['iss a list', { iss: [ORIGIN] }],
    ['aud the origin alone', { aud: ORIGIN }],
    ['aud with a slash at its end', { aud: `${RESOURCE}/` }],
    ['aud with more of a path', { aud: `${RESOURCE}/more` }],
    ['aud of another site', { aud: 'https://other.example.com/mcp' }],
    ['aud a list of others', { aud: [ORIGIN, 'https://other.example.com/mcp'] }],
    ['aud an empty list', { aud: [] }],
    ['aud an object', { aud: { [RESOURCE]: true } }],
  ])('T55 %s → 401', async (_what, change) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    await expectRefused(await proxy.mcp(forge(header, { ...claims, ...change })))
  })

  test.each<[string, OAuthProxyOptions]>([
    ['of another name', { config: { baseUrl: 'https://other.example.com', allowedHosts: ['mcp.example.com'] } }],
    ['of the same name, with a prefix', { config: { pathPrefix: 'team' } }],
  ])('T55 token of a deployment %s, with the same secret and store → 401', async (_what, given) => {
    const proxy = await open()
    const other = await open({ ...given, dataDir: proxy.dataDir })
    const { baseUrl, mcpPath } = other.kernel.config
    const client = await other.register()
    const { url, verifier } = other.request(client, { resource: baseUrl + mcpPath })
    const back = await other.toClient(openBrowser(other.fetch, baseUrl), url)
    const response = await other.token({
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      code_verifier: verifier,
      client_id: client.client_id,
    })
    const { access_token: token } = (await response.json()) as { access_token: string }
    expect((await other.mcp(token)).status).toBe(200)
    await expectRefused(await proxy.mcp(token), token)
    // Nothing else stands in its way: the login is in the store, and the key is the same.
    const [, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString())
    const ours = { ...JSON.parse(claims ?? ''), iss: ORIGIN, aud: RESOURCE }
    expect((await proxy.mcp(forge({ alg: 'HS256', kid: KID, typ: 'at+jwt' }, ours))).status).toBe(200)
  })
})

describe('T56', () => {
  test('T56 token of the identity provider, right audience and all → 401', async () => {
    const proxy = await open()
    const { claims } = await genuine(proxy)
    const upstream = { iss: 'https://idp.test/', sub: 'idp|alice', aud: [RESOURCE, 'https://idp.test/userinfo'] }
    for (const typ of ['JWT', 'at+jwt']) {
      const token = await new SignJWT({ ...claims, ...upstream })
        .setProtectedHeader({ alg: 'RS256', kid: 'idp-key', typ })
        .sign(RSA.privateKey)
      await expectRefused(await proxy.mcp(token), token)
    }
    await expectRefused(await proxy.mcp('upstream-secret-0'))
  })

  test('T56 token towards a server behind the proxy → never handed on; the server gets what its own entry says', async () => {
    const results: Record<string, object> = {
      initialize: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: {} },
        serverInfo: { name: 'x', version: '1' },
      },
      'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] },
      'tools/call': { content: [] },
    }
    const site = await serve(({ method, body }, response) => {
      if (method !== 'POST') return void response.writeHead(405).end()
      if (body.id === undefined) return void response.writeHead(202).end()
      json(response, { jsonrpc: '2.0', id: body.id, result: results[body.method] ?? {} })
    })
    closing.push(site.close)
    const headers = { authorization: 'Bearer of-the-server-entry' }
    const proxy = await open({
      plugins: [streamable()],
      config: { mcpServers: { in: { type: 'http', url: site.url, headers }, bare: { type: 'http', url: site.url } } },
    })
    proxy.kernel.start()
    await proxy.kernel.ready
    const { token } = await genuine(proxy)
    const fetcher = withToken(proxy, token)
    for (const name of ['in_echo', 'bare_echo']) {
      const called = await fetcher(RESOURCE, modernRequest('tools/call', { name, arguments: {} }))
      expect([called.status, await called.text()]).toEqual([200, expect.stringContaining('"content":[]')])
      const wire = await openLegacy(RESOURCE, '2025-11-25', fetcher)
      expect((await wire.request('tools/call', { name, arguments: {} })).result).toEqual({ content: [] })
    }
    const calls = site.requests.filter(({ body }) => body?.method === 'tools/call')
    const sent = calls.map((seen) => seen.headers.authorization)
    expect(sent).toHaveLength(4)
    expect(sent.filter((value) => value === headers.authorization)).toHaveLength(2)
    expect(sent.filter((value) => value === undefined)).toHaveLength(2)
    expect(JSON.stringify(site.requests)).not.toContain(token.split('.')[2])
    expect(JSON.stringify(site.requests)).not.toContain(token)
  })
})

/** Storage in memory that can be wiped and broken. */
function fragile() {
  const driver = memoryDriver()
  const state = { broken: false }
  const unlessBroken =
    <A extends unknown[], R>(action: (...args: A) => R) =>
    (...args: A): R => {
      if (state.broken) throw new Error('EIO: the disk has a scratch')
      return action(...args)
    }
  const storage = {
    name: 'fragile',
    hasItem: unlessBroken(driver.hasItem),
    getItem: unlessBroken(driver.getItem),
    setItem: unlessBroken(driver.setItem!),
    removeItem: unlessBroken(driver.removeItem!),
    getKeys: unlessBroken(driver.getKeys),
    swap: unlessBroken(driver.swap!),
  }
  const plugin = definePlugin({ name: 'storage-fragile', setup: () => ({ storage }) })
  return { plugin, state, wipe: () => driver.clear?.('', {}) }
}

/** What a process that has not ended a login itself may still believe of it, in ms. */
const GLANCE = 5001

describe('T57', () => {
  test.each(['access_token', 'refresh_token'] as const)(
    'T57 login revoked with its %s → 401 at once',
    async (which) => {
      const proxy = await open()
      const { client, tokens } = await proxy.tokens()
      expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
      const revoked = await proxy.fetch(`${ORIGIN}/revoke`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ token: tokens[which] ?? '', client_id: client.client_id }),
      })
      expect(revoked.status).toBe(200)
      await expectRefused(await proxy.mcp(tokens.access_token), tokens.access_token)
    },
  )

  test('T57 login revoked by another process on the same store → 401 within 5 s', async () => {
    const proxy = await open()
    const other = await open({ dataDir: proxy.dataDir })
    const { client, tokens } = await proxy.tokens()
    expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
    await other.fetch(`${ORIGIN}/revoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ token: tokens.access_token, client_id: client.client_id }),
    })
    await expectRefused(await other.mcp(tokens.access_token))
    proxy.pass(GLANCE)
    await expectRefused(await proxy.mcp(tokens.access_token))
  })

  test('T57 store wiped → 401 invalid_token for every method, not 500', async () => {
    const { plugin, wipe } = fragile()
    const proxy = await open({ storage: plugin })
    const { token } = await genuine(proxy)
    expect((await proxy.mcp(token)).status).toBe(200)
    await wipe()
    proxy.pass(GLANCE)
    await expectRefused(await proxy.mcp(token), token)
    for (const method of ['GET', 'DELETE']) {
      await expectRefused(await withToken(proxy, token)(RESOURCE, { method }), token)
    }
  })

  test('T57 store that fails → 503 with Retry-After and no challenge; the same token works once it is back', async () => {
    const { plugin, state } = fragile()
    const proxy = await open({ storage: plugin })
    const { token } = await genuine(proxy)
    proxy.pass(GLANCE)
    state.broken = true
    for (const method of ['POST', 'GET', 'DELETE']) {
      const init = method === 'POST' ? modernRequest('tools/list') : { method }
      const response = await withToken(proxy, token)(RESOURCE, init)
      expect(response.status).toBe(503)
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(response.headers.get('www-authenticate')).toBeNull()
      expect(response.headers.get('cache-control')).toBe('no-store')
      const text = await response.text()
      expect(JSON.parse(text)).toMatchObject({ error: 'temporarily_unavailable' })
      expect(text).not.toMatch(/EIO|scratch/)
    }
    state.broken = false
    expect((await proxy.mcp(token)).status).toBe(200)
  })

  test('T57 token for a code that was never redeemed, genuine to the bit → 401', async () => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    const { client } = await proxy.login()
    const logins = (await recordsOf(proxy.dataDir, SECRET, 'login')).filter(
      (login) => login.client === client.client_id,
    )
    expect(logins).toHaveLength(1)
    const forged = forge(header, { ...claims, gid: logins[0]?.id, client_id: client.client_id })
    await expectRefused(await proxy.mcp(forged))
  })
})

describe('T58', () => {
  test.each<[string, (token: string) => string]>([
    ['bearer', (token) => `bearer ${token}`],
    ['BEARER', (token) => `BEARER ${token}`],
    ['bEaReR', (token) => `bEaReR ${token}`],
  ])('T58 %s → accepted', async (_what, write) => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    expect((await proxy.mcp(undefined, { authorization: write(token) })).status).toBe(200)
  })

  test.each<[string, (token: string) => string]>([
    ['two spaces', (token) => `Bearer  ${token}`],
    ['a tab', (token) => `Bearer\t${token}`],
    ['a space and a tab', (token) => `Bearer \t${token}`],
    ['no space', (token) => `Bearer${token}`],
    ['no scheme', (token) => token],
    ['no token', () => 'Bearer'],
    ['an empty header', () => ''],
    ['another scheme', (token) => `DPoP ${token}`],
    ['Basic', (token) => `Basic ${token}`],
    ['another scheme in front', (token) => `Basic eDp5, Bearer ${token}`],
    ['a parameter behind', (token) => `Bearer ${token}, realm="x"`],
    ['a second token behind a comma', (token) => `Bearer ${token}, Bearer ${token}`],
    ['a second token behind a comma, without its scheme', (token) => `Bearer ${token},${token}`],
    ['a second token behind a space', (token) => `Bearer ${token} ${token}`],
    ['quotes', (token) => `Bearer "${token}"`],
    ['the name of the scheme twice', (token) => `Bearer Bearer ${token}`],
    ['a token of 20 kB', (token) => `Bearer ${token}${'A'.repeat(20_000)}`],
    ['20 kB of nothing', () => `Bearer ${'A'.repeat(20_000)}`],
    ['a long run of equals signs', (token) => `Bearer ${token}${'='.repeat(3000)}!`],
    ['a character of Latin-1', (token) => `Bearer ${token}\u00E9`],
    ['a no-break space', (token) => `Bearer\u00A0${token}`],
    ['a percent-encoded token', (token) => `Bearer ${token.replaceAll('.', '%2E')}`],
  ])('T58 Authorization with %s → 401 invalid_token', async (_what, write) => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    await expectRefused(await proxy.mcp(undefined, { authorization: write(token) }), token)
  })

  test('T58 control: one header on the wire → accepted, white space around it does not count', async () => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    const wire = await openWire(proxy)
    closing.push(wire.close)
    for (const line of [
      `Authorization: Bearer ${token}`,
      `authorization:Bearer ${token}`,
      `AUTHORIZATION: \t bearer ${token}\t `,
    ])
      expect(statusOf(await wire.ask(line))).toBe(200)
  })

  test.each<[string, (token: string) => readonly (string | Buffer)[]]>([
    ['twice, the right one first', (token) => [`Authorization: Bearer ${token}`, 'Authorization: Bearer x']],
    ['twice, the right one last', (token) => ['Authorization: Bearer x', `Authorization: Bearer ${token}`]],
    ['twice the same', (token) => Array(2).fill(`Authorization: Bearer ${token}`)],
    ['twice, in two spellings', (token) => [`Authorization: Bearer ${token}`, `AUTHORIZATION: Bearer ${token}`]],
    ['twice, the first one empty', (token) => ['Authorization:', `Authorization: Bearer ${token}`]],
    ['twice, the second one empty', (token) => [`Authorization: Bearer ${token}`, 'Authorization:']],
    ['of two schemes', (token) => [`Authorization: Bearer ${token}`, 'Authorization: Basic eDp5']],
    ['with a tab', (token) => [`Authorization: Bearer\t${token}`]],
    ['joined by a comma', (token) => [`Authorization: Bearer ${token}, Bearer ${token}`]],
    ['of UTF-8', (token) => [Buffer.from(`Authorization: Bearer ${token}é漢`, 'utf8')]],
    ['under another name', (token) => [`Authorization2: Bearer ${token}`, 'Authorization: Bearer x']],
  ])('T58 Authorization on the wire %s → 401', async (_what, lines) => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    const wire = await openWire(proxy)
    closing.push(wire.close)
    const answer = await wire.ask(...lines(token))
    expect(statusOf(answer)).toBe(401)
    expect(answer).toContain('error="invalid_token"')
    expect(answer).not.toContain(token)
  })

  test.each<[string, (token: string) => readonly (string | Buffer)[], number]>([
    ['of 20 kB', (token) => [`Authorization: Bearer ${token}${'A'.repeat(20_000)}`], 431],
    ['with a NUL', (token) => [`Authorization: Bearer ${token}\0`], 400],
    ['folded over two lines', (token) => ['Authorization: Bearer', ` ${token}`], 400],
    ['with a bare CR', (token) => [`Authorization: Bearer ${token}\rx: y`], 400],
  ])('T58 Authorization on the wire %s → refused before anybody reads it', async (_what, lines, status) => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    const wire = await openWire(proxy)
    closing.push(wire.close)
    const answer = await wire.ask(...lines(token))
    expect(statusOf(answer)).toBe(status)
    expect(answer).not.toContain(token)
  })

  test.each<[string, readonly string[]]>([
    ['without Origin', []],
    ['of a known web page', ['Origin: https://claude.ai']],
  ])('T58 challenge on the wire, request %s → spelt WWW-Authenticate, once', async (_what, lines) => {
    const proxy = await open()
    const { header, claims } = await genuine(proxy)
    const wire = await openWire(proxy)
    closing.push(wire.close)
    const challenges = async (...more: string[]) =>
      headerLines(await wire.ask(...lines, ...more)).filter((line) => /^www-authenticate:/i.test(line))
    expect(await challenges()).toEqual([`WWW-Authenticate: ${CHALLENGE}`])
    expect(await challenges('Authorization: Bearer x')).toEqual([`WWW-Authenticate: ${INVALID}`])
    const narrow = forge(header, { ...claims, scope: 'offline_access' })
    expect(await challenges(`Authorization: Bearer ${narrow}`)).toEqual([
      expect.stringMatching(/^WWW-Authenticate: Bearer error="insufficient_scope"/),
    ])
    for (const method of ['GET', 'DELETE', 'HEAD', 'PUT']) {
      const answer = await wire.say(
        [`${method} /mcp HTTP/1.1`, 'Host: mcp.example.com', 'Connection: close', ...lines, '', ''].join('\r\n'),
      )
      expect(statusOf(answer)).toBe(401)
      expect(headerLines(answer)).toContain(`WWW-Authenticate: ${CHALLENGE}`)
    }
  })
})

describe('T59', () => {
  test('T59 token in the query → ignored: 401 as without any, and not repeated', async () => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    for (const name of ['access_token', 'token', 'authorization', 'Authorization']) {
      for (const method of ['POST', 'GET', 'DELETE']) {
        const init = method === 'POST' ? modernRequest('tools/list') : { method }
        const response = await proxy.fetch(`${RESOURCE}?${name}=${token}`, init)
        expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, CHALLENGE])
        expect(await response.text()).not.toContain(token)
      }
    }
    expect(proxy.log()).not.toContain(token)
  })

  test('T59 token in a body → ignored: 401 as without any', async () => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    const { headers, body } = modernRequest('tools/list')
    const inside = { ...JSON.parse(body), access_token: token, authorization: `Bearer ${token}` }
    const form = new URLSearchParams({ access_token: token }).toString()
    for (const init of [
      { method: 'POST', headers, body: JSON.stringify(inside) },
      { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: form },
    ]) {
      const response = await proxy.fetch(RESOURCE, init)
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, CHALLENGE])
      expect(await response.text()).not.toContain(token)
    }
  })

  test.each([
    'x-authorization',
    'proxy-authorization',
    'cookie',
    'x-access-token',
    'mcp-session-id',
    'x-forwarded-authorization',
  ])('T59 token in the header %s → ignored: 401 as without any', async (name) => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    for (const value of [`Bearer ${token}`, `access_token=${token}`, token]) {
      const response = await proxy.mcp(undefined, { [name]: value })
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, CHALLENGE])
    }
  })

  test('T59 a second token in the query beside a good one → ignored', async () => {
    const proxy = await open()
    const { token } = await genuine(proxy)
    const response = await withToken(proxy, token)(`${RESOURCE}?access_token=other`, modernRequest('tools/list'))
    expect(response.status).toBe(200)
  })
})

describe('T60', () => {
  test.each<KeyPurpose>(['session', 'state', 'store', 'cookie', 'refresh-mac', 'lookup', 'csrf'])(
    'T60 access token signed with the key for "%s" → 401',
    async (purpose) => {
      const proxy = await open()
      const { header, claims } = await genuine(proxy)
      const key = KEYS.subKeys(purpose)[0]?.key
      expect(key).not.toEqual(KEY)
      await expectRefused(await proxy.mcp(forge(header, claims, key)))
    },
  )

  test.each<KeyPurpose>(['session', 'state', 'store', 'cookie', 'jwt', 'refresh-mac', 'lookup', 'csrf'])(
    'T60 claims sealed or authenticated for "%s" → 401',
    async (purpose) => {
      const proxy = await open()
      const { header, claims } = await genuine(proxy)
      const text = JSON.stringify(claims)
      const signed = `${encode(header)}.${encode(claims)}`
      for (const token of [
        KEYS.seal(purpose, text),
        KEYS.mac(purpose, text),
        `${encode(header)}.${encode(claims)}.${KEYS.seal(purpose, signed)}`,
        ...(purpose === 'jwt' ? [] : [`${signed}.${KEYS.mac(purpose, signed)}`]),
      ])
        await expectRefused(await proxy.mcp(token), token)
    },
  )

  test('T60 everything else that the proxy hands out, as a bearer token → 401', async () => {
    const proxy = await open()
    const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
    const browser = proxy.browser()
    const { url } = proxy.request(client)
    const { fields } = await proxy.toConsent(browser, url)
    const consentCookies = [...browser.cookies.values()]
    const approved = await browser.submit('/consent', { ...fields, action: 'approve' })
    const departureCookies = [...browser.cookies.values()]
    const state = new URL(approved.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const { code } = await proxy.login(client)
    const { tokens } = await proxy.tokens(client)
    const wire = await openLegacy(RESOURCE, '2025-11-25', withToken(proxy, tokens.access_token))
    const things = {
      'client id': client.client_id,
      'client secret': client.client_secret ?? '',
      csrf: fields.csrf ?? '',
      authorization: fields.authorization ?? '',
      'consent cookie': consentCookies[0] ?? '',
      'departure cookie': departureCookies.at(-1) ?? '',
      state,
      code,
      'refresh token': tokens.refresh_token ?? '',
      'session id': wire.sessionId,
    }
    expect(Object.values(things).filter((thing) => thing.length < 16)).toEqual([])
    for (const thing of Object.values(things)) await expectRefused(await proxy.mcp(thing), thing)
    expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  })

  test('T60 requestState of a call that waits for its user, as a bearer token → 401', async () => {
    const proxy = await openTools({ env: { MCP_SECRET: SECRET } })
    closing.push(proxy.close)
    const { tokens } = await proxy.tokens()
    const _meta = { 'io.modelcontextprotocol/clientCapabilities': ALL }
    const asked = await withToken(proxy, tokens.access_token)(
      RESOURCE,
      modernRequest('tools/call', { name: 'in_ask', arguments: {}, _meta }),
    )
    const [{ result }] = await messagesOf(asked)
    expect(result).toMatchObject({ resultType: 'input_required', requestState: expect.stringMatching(/^[\w-]{40,}$/) })
    await expectRefused(await proxy.mcp(result.requestState), result.requestState)
  })
})
