import { afterEach, expect, test } from 'vitest'
import { serveHttp } from '../../../../core/http/server.ts'
import type { Store } from '../../../../core/storage.ts'
import { memoryStore } from '../../../../core/store.ts'
import { createClients } from '../../../../plugins/auth-oauth/clients.ts'
import { createAddressLimit } from '../../../../plugins/auth-oauth/rate-limit.ts'
import {
  CALLBACK,
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type OAuthProxyOptions,
  type Registered,
} from '../../../fixtures/oauth/proxy.ts'
import { collectionOf, diskError, riggedStorage } from '../../../fixtures/oauth/rigged.ts'
import { granted, refusal, registered } from '../../../fixtures/oauth/token-answers.ts'

const DAY = 86_400_000

let proxy: OAuthProxy
afterEach(() => proxy.close())

const open = async (options?: OAuthProxyOptions): Promise<OAuthProxy> => (proxy = await openOAuth(options))

const METADATA = { client_name: 'Claude', redirect_uris: [CALLBACK] }

/** Registers from an address. */
function registerFrom(address: string | undefined, body: unknown = METADATA): Promise<Response> {
  proxy.address = address
  return proxy.registerRaw(body)
}

/** What becomes of so many registrations, by status. */
async function flood(
  count: number,
  addressOf: (index: number) => string,
): Promise<{ tally: Record<number, number>; last: Response }> {
  const tally: Record<number, number> = {}
  let last: Response | undefined
  for (let index = 0; index < count; index++) {
    last = await registerFrom(addressOf(index))
    tally[last.status] = (tally[last.status] ?? 0) + 1
  }
  return { tally, last: last! }
}

/** POST /register with exactly this. */
function send(body: NonNullable<RequestInit['body']> | null, type = 'application/json'): Promise<Response> {
  return proxy.fetch(`${ORIGIN}/register`, { method: 'POST', headers: { 'content-type': type }, body })
}

test('a registration as Claude sends it: 201 with id and secret, no null member, kept by nobody, and the secret works at /token', async () => {
  await open()
  const body = {
    client_name: 'claude',
    redirect_uris: ['http://localhost:3000/callback'],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'client_secret_post',
  }
  const response = await proxy.registerRaw(body)
  expect(response.headers.get('cache-control')).toBe('no-store')
  const client = await registered(response)
  expect(client).toEqual({
    ...body,
    client_id: expect.any(String),
    client_id_issued_at: expect.any(Number),
    client_secret: expect.stringMatching(/^[\w-]{43}$/),
    client_secret_expires_at: 0,
  })
  expect(Math.abs(Number(client['client_id_issued_at']) - Date.now() / 1000)).toBeLessThan(600)
  const login = await proxy.login(client as unknown as Registered)
  const { client_secret: _, ...without } = codeFields(login)
  await refusal(await proxy.token(without), 401, 'invalid_client')
  const tokens = await granted(await proxy.token(codeFields(login)))
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
  await granted(await proxy.refresh(login.client, tokens.refresh_token))
})

test('T83 1,000 registrations from one address: a burst of 60, then 429 with Retry-After and JSON; other addresses do not notice', async () => {
  await open({ storage: riggedStorage().plugin })
  const { tally, last } = await flood(1000, () => '203.0.113.7')
  expect(Object.keys(tally)).toEqual(['201', '429'])
  // What trickles in while the test runs is allowed on top.
  expect(tally[201]).toBeGreaterThanOrEqual(60)
  expect(tally[201]).toBeLessThan(120)
  const wait = Number(last.headers.get('retry-after'))
  await refusal(last, 429, 'temporarily_unavailable')
  expect(wait).toBeLessThanOrEqual(2)
  await registered(await registerFrom('203.0.113.8'))
  await registered(await registerFrom('2001:db8::1'))
  proxy.pass(wait * 1000)
  await registered(await registerFrom('203.0.113.7'))
})

test('T83 a flood from one address keeps nobody from the other endpoints', async () => {
  await open({ storage: riggedStorage().plugin })
  const client = await proxy.register()
  await flood(100, () => '203.0.113.7')
  await refusal(await registerFrom('203.0.113.7'), 429, 'temporarily_unavailable')
  proxy.address = '203.0.113.7'
  const { tokens } = await proxy.tokens(client)
  await granted(await proxy.refresh(client, tokens.refresh_token))
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
})

test('T83 an IPv6 household counts by its /64, however many addresses it uses; IPv4 in IPv6 clothes is IPv4', async () => {
  await open({ storage: riggedStorage().plugin })
  const { tally } = await flood(200, (index) => `2001:db8:1:2:${index.toString(16)}::${index.toString(16)}`)
  expect(tally[429]).toBeGreaterThan(100)
  await registered(await registerFrom('2001:db8:1:3::1'))
  await flood(100, () => '198.51.100.1')
  await refusal(await registerFrom('::ffff:198.51.100.1'), 429, 'temporarily_unavailable')
})

test('T83 over a real connection the peer counts, and a forwarded address that nobody vouches for does not', async () => {
  await open({ storage: riggedStorage().plugin })
  const server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    fetch: (request) => proxy.kernel.fetch(request),
    onerror: (text, error) => expect.unreachable(`${text}: ${String(error)}`),
  })
  try {
    const statuses: number[] = []
    for (let index = 0; index < 200; index++) {
      const headers = {
        'content-type': 'application/json',
        'x-forwarded-for': `203.0.113.${index}`,
        forwarded: `for=${index}`,
      }
      const response = await fetch(`http://127.0.0.1:${server.address.port}/register`, {
        method: 'POST',
        headers,
        body: JSON.stringify(METADATA),
      })
      statuses.push(response.status)
      if (response.status === 429) await refusal(response, 429, 'temporarily_unavailable')
      else await registered(response)
    }
    expect(statuses.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 201))
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(50)
  } finally {
    await server.close(0)
  }
})

test('T83 a clock that is set back locks nobody out, and one set forward opens no more than a burst', () => {
  let time = Date.UTC(2030, 0, 1)
  const limit = createAddressLimit({ burst: 3, perMinute: 60 }, () => time)
  const address = '203.0.113.7'
  limit({ address })
  time -= 3_600_000
  limit({ address })
  limit({ address })
  expect(() => limit({ address })).toThrow('Too many requests')
  time += 86_400_000
  for (let count = 0; count < 3; count++) limit({ address })
  expect(() => limit({ address })).toThrow('Too many requests')
})

test('T83 a flood from ever other addresses fills neither the memory of the limit nor the store', async () => {
  await open()
  const limit = createAddressLimit({ burst: 1, perMinute: 1 }, () => 0)
  for (let index = 0; index < 30_000; index++)
    limit({ address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` })
  // The last 10,000 are remembered, the first are not.
  expect(() => limit({ address: '10.0.117.47' })).toThrow('Too many requests')
  limit({ address: '10.0.0.0' })
})

const registration = { redirectUris: [CALLBACK], authMethod: 'none' } as const

function openClients(store: Store, now: () => number) {
  return createClients({ store, fixed: [], now })
}

async function countOf(store: Store): Promise<number> {
  let count = 0
  for await (const _ of store.scan('client')) count++
  return count
}

test('T83 clients that never got a token: 5,000 are kept at most, the oldest go first; those in use stay, whatever comes', async () => {
  await open()
  const store = memoryStore()
  let time = 1_000_000
  const clients = openClients(store, () => time++)
  const ids: string[] = []
  const add = async (): Promise<void> => {
    const { client } = await clients.register(registration)
    ids.push(client.id)
  }
  for (let count = 0; count < 5000; count++) await add()
  expect(await countOf(store)).toBe(5000)
  // Two of the oldest come into use.
  const used = ids.slice(0, 2)
  for (const id of used) await clients.touch((await clients.find(id))!)
  for (let count = 0; count < 300; count++) await add()
  expect(await countOf(store)).toBe(5002)
  for (const id of used) expect(await clients.find(id)).toMatchObject({ id })
  // Those two made room for two; from then on one went for each that came.
  expect(await clients.find(ids[2]!)).toBeUndefined()
  expect(await clients.find(ids[299]!)).toBeUndefined()
  expect(await clients.find(ids[300]!)).toMatchObject({ id: ids[300] })
  expect(await clients.find(ids.at(-1)!)).toMatchObject({ id: ids.at(-1) })
})

test('T83 the bound holds across a restart, and for registrations that come all at once', async () => {
  await open()
  const store = memoryStore()
  let time = 1_000_000
  const before = openClients(store, () => time++)
  const { client: used } = await before.register(registration)
  await before.touch(used)
  const { client: oldest } = await before.register(registration)
  for (let count = 1; count < 5000; count++) await before.register(registration)
  const after = openClients(store, () => time++)
  await Promise.all(Array.from({ length: 200 }, () => after.register(registration)))
  await after.register(registration)
  // The one in use, and 5,000 that are not.
  expect(await countOf(store)).toBe(5001)
  expect(await after.find(used.id)).toMatchObject({ id: used.id })
  expect(await after.find(oldest.id)).toBeUndefined()
})

test('T83 a client that comes into use in one process is not thrown out by another that does not know', async () => {
  await open()
  const store = memoryStore()
  let time = 1_000_000
  const [here, there] = [openClients(store, () => time++), openClients(store, () => time++)]
  const { client } = await here.register(registration)
  for (let count = 1; count < 5000; count++) await here.register(registration)
  await there.touch(client)
  for (let count = 0; count < 10; count++) await here.register(registration)
  expect(await here.find(client.id)).toMatchObject({ id: client.id })
})

test('T83 a client without a token is forgotten after a day, one in use 90 days after its last', async () => {
  const lives: Record<string, number | undefined> = {}
  const store = memoryStore()
  const spy = {
    ...store,
    put: (...[key, value, options]: Parameters<typeof store.put>) => {
      lives[key] = options?.ttl
      return store.put(key, value, options)
    },
    update: (...[key, change, options]: Parameters<typeof store.update>) => {
      lives[key] = options?.ttl
      return store.update(key, change, options)
    },
  } as Store
  await open()
  const clients = openClients(spy, () => 0)
  const { client } = await clients.register(registration)
  expect(lives).toEqual({ [`client:${client.id}`]: DAY })
  await clients.touch(client)
  expect(lives).toEqual({ [`client:${client.id}`]: 90 * DAY })
})

test('T83 writes: a client in use is written once a day, not at each refresh', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  let writes = 0
  rigged.after = (step) => {
    if (step.what === 'write' && collectionOf(step) === 'client') writes++
  }
  const { client, tokens } = await proxy.tokens()
  expect(writes).toBe(2)
  let token = tokens.refresh_token
  for (let refreshes = 0; refreshes < 20; refreshes++) {
    token = (await granted(await proxy.refresh(client, token))).refresh_token
    proxy.pass(3_600_000)
  }
  expect(writes).toBe(2)
  proxy.pass(5 * 3_600_000)
  await granted(await proxy.refresh(client, token))
  expect(writes).toBe(3)
})

test('T83 the store could not be listed when the first client came: 503 for that one, and from then on all is well', async () => {
  const rigged = riggedStorage()
  await open({ storage: rigged.plugin })
  const { client, tokens } = await proxy.tokens()
  await proxy.restart()
  rigged.before = ({ what }) => {
    if (what === 'list') throw diskError('EIO')
  }
  await refusal(await proxy.registerRaw(METADATA), 503, 'temporarily_unavailable')
  rigged.before = undefined
  await registered(await proxy.registerRaw(METADATA))
  // A client's use is written down where the same list is kept.
  proxy.pass(2 * DAY)
  await granted(await proxy.refresh(client, tokens.refresh_token))
  await proxy.tokens()
})

test('T84 a burst of legitimate registrations from where all users of Claude come from: none is refused', async () => {
  await open({ storage: riggedStorage().plugin })
  const { tally } = await flood(1000, (index) => `160.79.${104 + (index % 8)}.${index % 256}`)
  expect(tally).toEqual({ 201: 1000 })
  // Its neighbours are nobody special.
  for (const neighbour of ['160.79.103.255', '160.79.112.0']) {
    const { tally: theirs } = await flood(100, () => neighbour)
    expect(theirs[429]).toBeGreaterThan(0)
  }
})

test('T84 but not without any end', async () => {
  await open({ storage: riggedStorage().plugin })
  const { tally, last } = await flood(2500, () => '160.79.106.35')
  expect(tally[429]).toBeGreaterThan(0)
  await refusal(last, 429, 'temporarily_unavailable')
})

/** Bodies whose members are not what they should be, and the error each one gets. */
const BODIES: Record<string, readonly unknown[]> = {
  invalid_redirect_uri: [
    {},
    { redirect_uris: null },
    { redirect_uris: '' },
    { redirect_uris: CALLBACK },
    { redirect_uris: [] },
    { redirect_uris: {} },
    { redirect_uris: { 0: CALLBACK, length: 1 } },
    { redirect_uris: [null] },
    { redirect_uris: [CALLBACK, null] },
    { redirect_uris: [CALLBACK, 1] },
    { redirect_uris: [[CALLBACK]] },
    { redirect_uris: [{ toString: CALLBACK }] },
    { redirect_uris: [''] },
    { redirect_uris: ['/callback'] },
    { redirect_uris: [`${CALLBACK}\0`] },
    { redirect_uris: [`${CALLBACK}\u{1F600}`] },
    { redirect_uris: [`${CALLBACK}\ud800`] },
    { redirect_uris: [`${CALLBACK}?${'x'.repeat(2048)}`] },
    { redirect_uris: Array.from({ length: 11 }, (_, index) => `${CALLBACK}/${index}`) },
    { redirect_uris: Array.from({ length: 11 }, () => CALLBACK) },
    { redirect_uris: [CALLBACK, 'https://evil.example/callback'] },
    { redirect_uris: true },
  ],
  invalid_client_metadata: [
    null,
    true,
    0,
    1e308,
    '',
    'text',
    [],
    [METADATA],
    { ...METADATA, client_name: 1 },
    { ...METADATA, client_name: ['x'] },
    { ...METADATA, client_name: {} },
    { ...METADATA, grant_types: 'authorization_code' },
    { ...METADATA, grant_types: [1] },
    { ...METADATA, grant_types: [null] },
    { ...METADATA, grant_types: [] },
    { ...METADATA, grant_types: ['refresh_token'] },
    { ...METADATA, response_types: 'code' },
    { ...METADATA, response_types: [['code']] },
    { ...METADATA, response_types: [] },
    { ...METADATA, token_endpoint_auth_method: 0 },
    { ...METADATA, token_endpoint_auth_method: ['none'] },
    { ...METADATA, scope: ['mcp:use'] },
    { ...METADATA, scope: 1 },
    { ...METADATA, application_type: {} },
  ],
  invalid_software_statement: [
    { ...METADATA, software_statement: 'e30.e30.' },
    { ...METADATA, software_statement: '' },
    { ...METADATA, software_statement: {} },
    { ...METADATA, software_statement: 1 },
  ],
}

for (const [error, bodies] of Object.entries(BODIES)) {
  test(`T85 wrong types, missing, empty and too many: 400 ${error}`, async () => {
    await open({ storage: riggedStorage().plugin })
    for (const body of bodies) await refusal(await send(JSON.stringify(body)), 400, error)
  })
}

test('T85 a member that is null is one that is not there, and none comes back null', async () => {
  await open()
  const body = {
    redirect_uris: [CALLBACK],
    client_name: null,
    grant_types: null,
    response_types: null,
    token_endpoint_auth_method: null,
    scope: null,
    application_type: null,
    software_statement: null,
    logo_uri: null,
    client_uri: null,
    contacts: null,
    jwks: null,
    made_up: null,
  }
  const client = await registered(await proxy.registerRaw(body))
  expect(Object.keys(client).toSorted()).toEqual([
    'client_id',
    'client_id_issued_at',
    'grant_types',
    'redirect_uris',
    'response_types',
    'token_endpoint_auth_method',
  ])
  expect(client['token_endpoint_auth_method']).toBe('none')
})

test('T85 what is not JSON, or of another content type: 400 invalid_client_metadata', async () => {
  await open()
  const json = JSON.stringify(METADATA)
  const broken = [
    '',
    ' ',
    '{',
    '{}}',
    json.slice(0, -1),
    `${json}x`,
    `'${json}'`,
    'undefined',
    'NaN',
    "{'a':1}",
    '{"a":1,}',
    '\0',
    `/**/${json}`,
  ]
  for (const body of broken) await refusal(await send(body), 400, 'invalid_client_metadata')
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/json-seq',
    'multipart/form-data; boundary=x',
    '',
  ])
    await refusal(await send(json, type), 400, 'invalid_client_metadata')
  await refusal(await send(null), 400, 'invalid_client_metadata')
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', ' application/json ;x=y'])
    await registered(await send(json, type))
})

test('T85 bytes that are no UTF-8: 400 invalid_client_metadata', async () => {
  await open()
  for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xc0, 0xaf]]) {
    const body = Buffer.concat([
      Buffer.from('{"redirect_uris":["http://localhost:3000/callback"],"client_name":"'),
      Buffer.from(bytes),
      Buffer.from('"}'),
    ])
    await refusal(await send(body), 400, 'invalid_client_metadata')
  }
  await refusal(await send(Buffer.from(JSON.stringify(METADATA), 'utf16le')), 400, 'invalid_client_metadata')
})

test('T85 half a character in a name, written with an escape: no 500, and nothing of it is shown', async () => {
  await open()
  const body = JSON.stringify(METADATA).replace('"Claude"', String.raw`"Cl\ud800aude\udfff"`)
  expect(await registered(await send(body))).toMatchObject({ client_name: 'Claude' })
})

test('T85 20 kB: 413, however it is spread, and 16 KiB is fine', async () => {
  await open()
  const padded = (size: number) => {
    const json = JSON.stringify({ ...METADATA, padding: '' })
    return json.replace('"padding":""', `"padding":"${'x'.repeat(size - json.length)}"`)
  }
  await refusal(await send(padded(20_000)), 413, 'invalid_request')
  await refusal(await send(padded(16 * 1024 + 1)), 413, 'invalid_request')
  await refusal(await send(' '.repeat(20_000)), 413, 'invalid_request')
  await refusal(await send(JSON.stringify({ ...METADATA, client_name: 'x'.repeat(20_000) })), 413, 'invalid_request')
  await registered(await send(padded(16 * 1024)))
})

test('T85 nested a thousand deep, and as deep as fits: ignored where nobody looks, else 400', async () => {
  await open()
  for (const depth of [1000, 7000]) {
    const lists = '['.repeat(depth) + ']'.repeat(depth)
    const objects = '{"a":'.repeat(depth / 4) + '1' + '}'.repeat(depth / 4)
    for (const nested of [lists, objects]) {
      await registered(
        await send(`{"redirect_uris":["${CALLBACK}"],"jwks":${nested},"__proto__":${nested}}`.slice(0, 100_000)).then(
          fits,
        ),
      )
      await refusal(await send(`{"redirect_uris":${nested}}`), 400, 'invalid_redirect_uri')
      await refusal(
        await send(`{"redirect_uris":["${CALLBACK}"],"client_name":${nested}}`),
        400,
        'invalid_client_metadata',
      )
    }
    await refusal(await send(lists), 400, 'invalid_client_metadata')
    await refusal(await send('['.repeat(depth)), 400, 'invalid_client_metadata')
  }
})

/** Two of the deepest together are too large a body; that is not what is looked at here. */
function fits(response: Response): Response | Promise<Response> {
  return response.status === 413 ? proxy.registerRaw(METADATA) : response
}

test('T85 duplicate keys: one of them counts, for the check and for what is kept alike', async () => {
  await open()
  const evil = '["https://evil.example/callback"]'
  const good = `["${CALLBACK}"]`
  await refusal(await send(`{"redirect_uris":${good},"redirect_uris":${evil}}`), 400, 'invalid_redirect_uri')
  const client = await registered(await send(`{"redirect_uris":${evil},"redirect_uris":${good}}`))
  expect(client['redirect_uris']).toEqual([CALLBACK])
  const { url } = proxy.request(client as unknown as Registered, { redirect_uri: 'https://evil.example/callback' })
  expect((await proxy.browser().get(url)).status).toBe(400)
  await refusal(await send(`{"redirect_uris":${good},"redirect_uris":null}`), 400, 'invalid_redirect_uri')
  const escaped = await registered(await send(String.raw`{"redirect_uris":${good},"redirect\u005furis":${good}}`))
  expect(escaped['redirect_uris']).toEqual([CALLBACK])
})

test('T85 members named like those of every object: no prototype is touched, nothing comes back', async () => {
  await open()
  const body = `{"redirect_uris":["${CALLBACK}"],"__proto__":{"polluted":true,"client_name":"x","redirect_uris":["https://evil.example/"]},"constructor":{"prototype":{"polluted":true}},"toString":"x","hasOwnProperty":1,"toJSON":"x"}`
  const client = await registered(await send(body))
  expect(client).not.toHaveProperty('client_name')
  expect(client['redirect_uris']).toEqual([CALLBACK])
  expect(Object.hasOwn(client, '__proto__') || Object.hasOwn(client, 'constructor')).toBe(false)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  await refusal(await send('{"__proto__":{"redirect_uris":["http://localhost/"]}}'), 400, 'invalid_redirect_uri')
})

test('T85 the same redirect URI ten times is one', async () => {
  await open()
  const client = await registered(
    await proxy.registerRaw({ redirect_uris: Array.from({ length: 10 }, () => CALLBACK) }),
  )
  expect(client['redirect_uris']).toEqual([CALLBACK])
})

test('T85 other methods than POST: 405 with Allow', async () => {
  await open()
  for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
    const response = await proxy.fetch(`${ORIGIN}/register`, { method })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    expect(await response.json()).toMatchObject({ error: 'invalid_request' })
  }
})

test('T86 scopes: unknown ones are dropped without a word, known ones come back', async () => {
  await open()
  const scopeOf = async (scope: unknown) => (await registered(await proxy.registerRaw({ ...METADATA, scope })))['scope']
  expect(await scopeOf('mcp:use admin offline_access')).toBe('mcp:use offline_access')
  expect(await scopeOf('  offline_access   mcp:use ')).toBe('mcp:use offline_access')
  for (const nothing of ['admin openid', '', 'MCP:USE', 'x'.repeat(5000), '"\\\0'])
    expect(await scopeOf(nothing)).toBeUndefined()
})

test('T86 grants: what is supported of what was asked comes back; without authorization_code there is nothing to register', async () => {
  await open()
  const jwt = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
  const grantsOf = async (grant_types: unknown) =>
    (await registered(await proxy.registerRaw({ ...METADATA, grant_types })))['grant_types']
  expect(await grantsOf(['authorization_code', jwt, 'client_credentials'])).toEqual(['authorization_code'])
  expect(await grantsOf([jwt, 'refresh_token', 'authorization_code'])).toEqual(['authorization_code', 'refresh_token'])
  for (const grant_types of [[jwt], ['client_credentials'], ['password', 'implicit'], ['AUTHORIZATION_CODE']])
    await refusal(await proxy.registerRaw({ ...METADATA, grant_types }), 400, 'invalid_client_metadata')
  // And none of it makes the grant work.
  const client = (await registered(
    await proxy.registerRaw({ ...METADATA, grant_types: ['authorization_code', jwt] }),
  )) as unknown as Registered
  const asserted = { grant_type: jwt, assertion: 'e30.e30.', client_id: client.client_id }
  await refusal(await proxy.token(asserted), 400, 'unsupported_grant_type')
})

test('T86 response types: code alone comes back; without it there is nothing to register', async () => {
  await open()
  const client = await registered(
    await proxy.registerRaw({ ...METADATA, response_types: ['code', 'token', 'id_token'] }),
  )
  expect(client['response_types']).toEqual(['code'])
  for (const response_types of [['token'], ['id_token token'], ['code token']])
    await refusal(await proxy.registerRaw({ ...METADATA, response_types }), 400, 'invalid_client_metadata')
})

test('T86 authentication methods: with a secret where one was asked for, else a public client without', async () => {
  await open()
  const register = async (token_endpoint_auth_method?: string) =>
    registered(
      await proxy.registerRaw({
        ...METADATA,
        ...(token_endpoint_auth_method !== undefined && { token_endpoint_auth_method }),
      }),
    )
  for (const method of ['client_secret_post', 'client_secret_basic'])
    expect(await register(method)).toMatchObject({
      token_endpoint_auth_method: method,
      client_secret: expect.stringMatching(/^[\w-]{43}$/),
      client_secret_expires_at: 0,
    })
  for (const method of [
    undefined,
    'none',
    '',
    'private_key_jwt',
    'client_secret_jwt',
    'tls_client_auth',
    'NONE',
    '__proto__',
  ]) {
    const client = await register(method)
    expect(client['token_endpoint_auth_method']).toBe('none')
    expect(client).not.toHaveProperty('client_secret')
    expect(client).not.toHaveProperty('client_secret_expires_at')
  }
})

test('T86 application_type web with a loopback address: registered, and the type comes back; an unknown one does not', async () => {
  await open()
  const typeOf = async (application_type: string) =>
    (await registered(await proxy.registerRaw({ ...METADATA, application_type })))['application_type']
  expect([await typeOf('web'), await typeOf('native'), await typeOf('made-up'), await typeOf('')]).toEqual([
    'web',
    'native',
    undefined,
    undefined,
  ])
})

test('T86 registration is off: 403, it is not advertised, and the clients of the configuration work', async () => {
  const clients = [{ id: 'known', secret: 'a secret of enough length', redirectUris: [CALLBACK] }]
  for (const options of [
    { options: { dcr: 'off', clients } },
    { options: { clients }, env: { MCP_DCR: 'off' } },
  ] as const) {
    await open(options)
    await refusal(await proxy.registerRaw(METADATA), 403, 'access_denied')
    const metadata = await proxy.fetch(`${ORIGIN}/.well-known/oauth-authorization-server`)
    expect(await metadata.json()).not.toHaveProperty('registration_endpoint')
    await proxy.tokens({ client_id: 'known', client_secret: clients[0]!.secret, redirect_uris: [CALLBACK] })
    await proxy.close()
  }
})

test('T87 a client that brings its own id, secret and registration token: ignored, it gets those of the proxy', async () => {
  await open()
  const victim = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  const wanted = {
    client_id: victim.client_id,
    client_secret: 'chosen-by-me',
    client_secret_expires_at: 1,
    client_id_issued_at: 1,
    registration_access_token: 'chosen-by-me',
    registration_client_uri: 'https://evil.example/',
    source: 'static',
    used: 1,
    secretDigest: 'chosen-by-me',
    redirectUris: ['https://evil.example/'],
  }
  const client = await registered(
    await proxy.registerRaw({ ...METADATA, ...wanted, token_endpoint_auth_method: 'client_secret_post' }),
  )
  expect(Object.keys(client).toSorted()).toEqual([
    'client_id',
    'client_id_issued_at',
    'client_name',
    'client_secret',
    'client_secret_expires_at',
    'grant_types',
    'redirect_uris',
    'response_types',
    'token_endpoint_auth_method',
  ])
  for (const [name, value] of Object.entries(wanted)) expect(client[name]).not.toBe(value)
  expect(client['client_secret_expires_at']).toBe(0)
  expect(JSON.stringify(client)).not.toMatch(/chosen-by-me|evil/)
  // The one whose id was wanted still is who it was, and the wish no secret of anybody's.
  await proxy.tokens(victim)
  const login = await proxy.login(client as unknown as Registered)
  await refusal(await proxy.token({ ...codeFields(login), client_secret: 'chosen-by-me' }), 401, 'invalid_client')
  await granted(await proxy.token(codeFields(login)))
})

test('T87 nothing is kept of it either: a public client that brought a secret has none', async () => {
  await open()
  const client = await registered(
    await proxy.registerRaw({ ...METADATA, client_secret: 'chosen-by-me', token_endpoint_auth_method: 'none' }),
  )
  expect(client).not.toHaveProperty('client_secret')
  const login = await proxy.login(client as unknown as Registered)
  await refusal(await proxy.token({ ...codeFields(login), client_secret: 'chosen-by-me' }), 401, 'invalid_client')
  await granted(await proxy.token(codeFields(login)))
})
