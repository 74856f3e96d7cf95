import { afterEach, expect, test } from 'vitest'
import { serveHttp } from '../../../../core/http/server.ts'
import { digest } from '../../../../plugins/auth-oauth/secret.ts'
import {
  codeFields,
  openOAuth,
  ORIGIN,
  type OAuthProxy,
  type OAuthProxyOptions,
  type Registered,
} from '../../../fixtures/oauth/proxy.ts'
import { granted, refusal } from '../../../fixtures/oauth/token-answers.ts'

let proxy: OAuthProxy
afterEach(() => proxy.close())

const open = async (options?: OAuthProxyOptions): Promise<OAuthProxy> => (proxy = await openOAuth(options))

const FORM = 'application/x-www-form-urlencoded'

const encoded = (fields: Record<string, string>): string => new URLSearchParams(fields).toString()

/** POST /token with exactly this. */
function send(
  body: NonNullable<RequestInit['body']> | null,
  headers: Record<string, string> = { 'content-type': FORM },
): Promise<Response> {
  return proxy.fetch(`${ORIGIN}/token`, { method: 'POST', headers, body })
}

function basic(id: string, secret: string): { authorization: string } {
  // As RFC 6749 §2.3.1 has it: form-encoded, each part for itself.
  const [user, password] = [id, secret].map((part) => new URLSearchParams({ '': part }).toString().slice(1))
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}

/** A login's form without what says who the client is. */
function withoutClient(login: Parameters<typeof codeFields>[0]): Record<string, string> {
  const { client_id: _id, client_secret: _secret, ...rest } = codeFields(login)
  return rest
}

test('T35 an unknown client: 401 invalid_client as JSON, without a challenge that nobody asked for', async () => {
  await open()
  const login = await proxy.login()
  for (const client_id of [
    'mcp_unknown',
    'x'.repeat(10_000),
    '\0',
    '__proto__',
    'constructor',
    '../../etc/passwd',
    'https://claude.ai/x',
  ]) {
    const response = await proxy.token({ ...codeFields(login), client_id })
    expect(response.headers.get('www-authenticate')).toBeNull()
    await refusal(response, 401, 'invalid_client')
  }
  await refusal(await proxy.token(withoutClient(login)), 401, 'invalid_client')
  await refusal(await proxy.token({ ...codeFields(login), client_id: '' }), 401, 'invalid_client')
  await granted(await proxy.token(codeFields(login)))
})

for (const method of ['client_secret_post', 'client_secret_basic']) {
  test(`T35 a client with ${method}: a wrong, cut, longer, foreign or missing secret gets 401, and the code stays good`, async () => {
    await open()
    const client = await proxy.register({ token_endpoint_auth_method: method })
    const other = await proxy.register({ token_endpoint_auth_method: method })
    const secret = client.client_secret ?? ''
    expect(secret).toMatch(/^[\w-]{43}$/)
    const login = await proxy.login(client)
    const wrong = [
      '',
      'x',
      secret.slice(0, -1),
      `${secret}x`,
      `${secret}=`,
      `${secret}\0`,
      ` ${secret}`,
      secret.toUpperCase(),
      other.client_secret ?? '',
      client.client_id,
    ]
    for (const guess of wrong) {
      const posted = await proxy.token({ ...codeFields(login), client_secret: guess })
      expect(posted.headers.get('www-authenticate')).toBeNull()
      await refusal(posted, 401, 'invalid_client')
      const sent = await proxy.token(withoutClient(login), basic(client.client_id, guess))
      expect(sent.headers.get('www-authenticate')).toBe('Basic realm="mcp"')
      await refusal(sent, 401, 'invalid_client')
    }
    await refusal(await proxy.token({ ...withoutClient(login), client_id: client.client_id }), 401, 'invalid_client')
    const right =
      method === 'client_secret_post'
        ? proxy.token(codeFields(login))
        : proxy.token(withoutClient(login), basic(client.client_id, secret))
    const tokens = await granted(await right)
    await refusal(await proxy.refresh({ ...client, client_secret: 'x' }, tokens.refresh_token), 401, 'invalid_client')
    await granted(await proxy.refresh(client, tokens.refresh_token))
  })
}

test('T35 what is kept of a secret does not work as the secret', async () => {
  await open()
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  const login = await proxy.login(client)
  const kept = digest(client.client_secret ?? '')
  await refusal(await proxy.token({ ...codeFields(login), client_secret: kept }), 401, 'invalid_client')
})

test('T35 a secret of a public client: 401, it takes itself for another', async () => {
  await open()
  const login = await proxy.login()
  await refusal(await proxy.token({ ...codeFields(login), client_secret: 'made-up' }), 401, 'invalid_client')
  await refusal(await proxy.token(withoutClient(login), basic(login.client.client_id, 'x')), 401, 'invalid_client')
  // Without a secret it may say who it is in either place.
  await granted(await proxy.token(withoutClient(login), basic(login.client.client_id, '')))
})

test('T35 a secret in the query: 400, whatever is in the body', async () => {
  await open()
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  const login = await proxy.login(client)
  for (const query of [
    encoded({ client_id: client.client_id, client_secret: client.client_secret ?? '' }),
    encoded(codeFields(login)),
    'x',
  ]) {
    for (const body of [new URLSearchParams(codeFields(login)), new URLSearchParams(withoutClient(login))]) {
      const response = await proxy.fetch(`${ORIGIN}/token?${query}`, {
        method: 'POST',
        headers: { 'content-type': FORM },
        body: body.toString(),
      })
      await refusal(response, 400, 'invalid_request')
    }
  }
  await granted(await proxy.token(codeFields(login)))
})

test('T35 two ways to authenticate at once: 400 invalid_request, also when both are right', async () => {
  await open()
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const other = await proxy.register({ token_endpoint_auth_method: 'client_secret_basic' })
  const login = await proxy.login(client)
  const header = basic(client.client_id, client.client_secret ?? '')
  await refusal(await proxy.token(codeFields(login), header), 400, 'invalid_request')
  const mixed = { ...withoutClient(login), client_id: other.client_id }
  await refusal(await proxy.token(mixed, header), 400, 'invalid_request')
  const { client_id } = client
  const twice = `${encoded(codeFields(login))}&client_secret=${client.client_secret}`
  await refusal(await send(twice), 400, 'invalid_request')
  await granted(await proxy.token({ ...withoutClient(login), client_id }, header))
})

test('T35 Basic: both parts are form-encoded, whatever characters are in them; the scheme is known in any case', async () => {
  const clients = [
    { id: 'ops:client+1/%25&=?', secret: 'pässwörd: 100% + &=§€ \u{1F511}', redirectUris: ['http://localhost/cb'] },
    { id: 'plain', secret: 'a secret:with:colons', redirectUris: ['http://localhost/cb'] },
  ]
  await open({ options: { clients } })
  for (const { id, secret } of clients) {
    const client: Registered = { client_id: id, client_secret: secret, redirect_uris: ['http://localhost:7/cb'] }
    const [first, again, posted] = [await proxy.login(client), await proxy.login(client), await proxy.login(client)]
    await refusal(await proxy.token(withoutClient(first), basic(id, `${secret}x`)), 401, 'invalid_client')
    await granted(await proxy.token(withoutClient(first), basic(id, secret)))
    const { authorization } = basic(id, secret)
    await granted(await proxy.token(withoutClient(again), { authorization: authorization.replace('Basic', 'bASIC ') }))
    await granted(await proxy.token(codeFields(posted)))
  }
})

test('T35 Basic that cannot be read: 401 with a challenge, never 500', async () => {
  await open()
  const login = await proxy.login()
  const encode = (text: string | Buffer) => Buffer.from(text).toString('base64')
  const broken = [
    'Basic !!!',
    `Basic ${encode('no colon')}`,
    `Basic ${encode(':only-secret')}`,
    `Basic ${encode('%zz:x')}`,
    `Basic ${encode('%ff%fe:x')}`,
    `Basic ${encode('%00:x')}`,
    `Basic ${encode(Buffer.of(0xff, 0xfe, 0x3a, 0x80))}`,
    `Basic ${'A'.repeat(8000)}`,
  ]
  for (const authorization of broken) {
    const response = await proxy.token(withoutClient(login), { authorization })
    expect(response.headers.get('www-authenticate')).toBe('Basic realm="mcp"')
    await refusal(response, 401, 'invalid_client')
  }
  // Headers lose white space at their ends, and the bare word is no Basic at all: nobody is to be seen then either.
  for (const authorization of ['Basic ', 'Basic'])
    await refusal(await proxy.token(withoutClient(login), { authorization }), 401, 'invalid_client')
  await granted(await proxy.token(codeFields(login)))
})

test('T35 another scheme says nothing of the client', async () => {
  await open()
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  const login = await proxy.login(client)
  const { client_secret: secret = '', client_id } = client
  const bearer = { authorization: `Bearer ${secret}` }
  await refusal(await proxy.token({ ...withoutClient(login), client_id }, bearer), 401, 'invalid_client')
  const assertion = {
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: 'e30.e30.',
  }
  await refusal(await proxy.token({ ...withoutClient(login), client_id, ...assertion }), 401, 'invalid_client')
  await refusal(await proxy.token({ ...withoutClient(login), ...assertion }), 401, 'invalid_client')
  await granted(await proxy.token(codeFields(login)))
})

test('T35 /revoke authenticates clients the same way: a wrong secret, a foreign or a made-up token end nothing', async () => {
  await open()
  const client = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  const stranger = await proxy.register()
  const { tokens } = await proxy.tokens(client)
  const revoke = (fields: Record<string, string>) =>
    proxy.fetch(`${ORIGIN}/revoke`, {
      method: 'POST',
      headers: { 'content-type': FORM },
      body: encoded(fields),
    })
  const { client_id, client_secret = '' } = client
  const [access, refresh] = [tokens.access_token, tokens.refresh_token ?? '']
  for (const token of [access, refresh]) {
    await refusal(await revoke({ token, client_id, client_secret: 'x' }), 401, 'invalid_client')
    await refusal(await revoke({ token, client_id }), 401, 'invalid_client')
    await refusal(await revoke({ token }), 401, 'invalid_client')
    const foreign = await revoke({ token, client_id: stranger.client_id })
    expect([foreign.status, await foreign.text()]).toEqual([200, ''])
  }
  await refusal(await revoke({ client_id, client_secret }), 400, 'invalid_request')
  for (const token of ['x', `${refresh}x`, refresh.slice(0, -1), `${access}x`, '\0', 'a'.repeat(10_000)]) {
    const unknown = await revoke({ token, client_id, client_secret })
    expect([unknown.status, await unknown.text()]).toEqual([200, ''])
  }
  expect((await proxy.mcp(access)).status).toBe(200)
  // A hint that is wrong or unknown helps nobody and harms nobody.
  const done = await revoke({ token: refresh, token_type_hint: 'made_up', client_id, client_secret })
  expect([done.status, await done.text()]).toEqual([200, ''])
  expect(done.headers.get('cache-control')).toBe('no-store')
  expect((await proxy.mcp(access)).status).toBe(401)
})

test('T37 another content type than a form: 400 invalid_request, nothing used up', async () => {
  await open()
  const login = await proxy.login()
  const fields = codeFields(login)
  const form = encoded(fields)
  const bytes = new TextEncoder().encode(form)
  await refusal(await send(JSON.stringify(fields), { 'content-type': 'application/json' }), 400, 'invalid_request')
  await refusal(await send(JSON.stringify(fields)), 401, 'invalid_client')
  await refusal(await send(bytes, {}), 400, 'invalid_request')
  await refusal(await send(null, {}), 400, 'invalid_request')
  for (const type of [
    'text/plain',
    `${FORM}x`,
    `x${FORM}`,
    `text/plain, ${FORM}`,
    `text/plain; x=${FORM}`,
    '',
    ';',
    FORM.replace('/', ''),
  ])
    await refusal(await send(bytes, { 'content-type': type }), 400, 'invalid_request')
  const parts = new FormData()
  for (const [name, value] of Object.entries(fields)) parts.set(name, value)
  await refusal(await send(parts, {}), 400, 'invalid_request')
  await granted(await send(form))
})

test('T37 a form is a form with whatever charset and spelling', async () => {
  await open()
  for (const type of [
    `${FORM}; charset=utf-8`,
    `${FORM};charset="UTF-8"`,
    FORM.toUpperCase(),
    `  ${FORM} ; charset=UTF-8`,
    `${FORM}; charset=iso-8859-1`,
  ]) {
    const login = await proxy.login()
    await granted(await send(encoded(codeFields(login)), { 'content-type': type }))
  }
})

test('T37 a body of 1 MiB: 413, with or without a Content-Length, and nothing used up', async () => {
  await open()
  const login = await proxy.login()
  const big = encoded({ ...codeFields(login), padding: 'x'.repeat(1024 * 1024) })
  await refusal(await send(big), 413, 'invalid_request')
  await refusal(await send(big, { 'content-type': FORM, 'content-length': String(big.length) }), 413, 'invalid_request')
  const fits = encoded({ ...codeFields(login), padding: '' })
  await refusal(await send(fits + 'x'.repeat(16 * 1024 - fits.length + 1)), 413, 'invalid_request')
  await granted(await send(fits + 'x'.repeat(16 * 1024 - fits.length)))
})

test('T37 a body of 1 MiB over a real connection: 413 as JSON, and the proxy goes on', async () => {
  await open()
  const login = await proxy.login()
  const errors: unknown[] = []
  const server = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    fetch: (request) => proxy.kernel.fetch(request),
    onerror: (_text, error) => void errors.push(error),
  })
  try {
    const url = `http://127.0.0.1:${server.address.port}/token`
    const post = (body: NonNullable<RequestInit['body']>) => {
      const streamed = typeof body === 'string' ? {} : { duplex: 'half' as const }
      return fetch(url, { method: 'POST', headers: { 'content-type': FORM }, body, ...streamed })
    }
    const big = `padding=${'x'.repeat(1024 * 1024)}&`
    await refusal(await post(big), 413, 'invalid_request')
    await refusal(await post(new Blob([big]).stream()), 413, 'invalid_request')
    await granted(await post(encoded(codeFields(login))))
  } finally {
    await server.close(0)
  }
  expect(errors).toEqual([])
})

test('T37 parameters twice, as lists, or named like members of every object: 400, and no prototype is touched', async () => {
  await open()
  const login = await proxy.login()
  const form = encoded(codeFields(login))
  for (const name of ['grant_type', 'code', 'code_verifier', 'redirect_uri', 'client_id', 'scope', 'unknown'])
    await refusal(await send(`${form}&${name}=x&${name}=x`), 400, 'invalid_request')
  const { grant_type: _, ...rest } = codeFields(login)
  const untyped = encoded(rest)
  for (const list of ['grant_type[]=authorization_code', 'grant_type[0]=authorization_code', 'grant_type%5B%5D=x', ''])
    await refusal(await send(`${untyped}&${list}`), 400, 'invalid_request')
  for (const value of [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'authorization_code\0',
    'AUTHORIZATION_CODE',
    ' refresh_token',
  ])
    await refusal(await send(`${untyped}&grant_type=${encodeURIComponent(value)}`), 400, 'unsupported_grant_type')
  const odd = [
    '__proto__=x&__proto__[polluted]=yes',
    'constructor=x&constructor[prototype][polluted]=yes',
    '__proto__.polluted=yes&toString=x&hasOwnProperty=x&valueOf=x',
  ]
  for (const more of odd) await refusal(await send(`${untyped}&grant_type=&${more}`), 400, 'invalid_request')
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  await granted(await send(`${form}&${odd.join('&').replaceAll('__proto__=x&', '').replaceAll('constructor=x&', '')}`))
})

test('T37 NUL bytes and lone percent signs: refused as what they are, never 500', async () => {
  await open()
  const login = await proxy.login()
  const fields = codeFields(login)
  await refusal(await proxy.token({ ...fields, code: `${fields['code']}\0` }), 400, 'invalid_grant')
  await refusal(await proxy.token({ ...fields, redirect_uri: `${fields['redirect_uri']}\0` }), 400, 'invalid_grant')
  await refusal(
    await proxy.token({ grant_type: '\0', client_id: login.client.client_id }),
    400,
    'unsupported_grant_type',
  )
  await refusal(await proxy.token({ ...fields, client_id: `${fields['client_id']}\0` }), 401, 'invalid_client')
  await refusal(await proxy.refresh(login.client, '\0'), 400, 'invalid_grant')
  for (const body of ['\0', '%', '%00', '&&&&', '=', '=&=', '%zz=%zz', 'client_id'])
    await refusal(await send(body), body === '=&=' ? 400 : 401, body === '=&=' ? 'invalid_request' : 'invalid_client')
  await granted(await proxy.token(fields))
})

test('T37 a form of bytes that are no UTF-8: 400 invalid_request', async () => {
  await open()
  const login = await proxy.login()
  const form = Buffer.from(`${encoded(codeFields(login))}&x=`)
  for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0xc0, 0xaf]])
    await refusal(await send(Buffer.concat([form, Buffer.from(bytes)])), 400, 'invalid_request')
  // Percent-encoded they are text, of a value that nothing has.
  await refusal(
    await send(encoded({ ...codeFields(login), code: '' }).replace('code=&', 'code=%ff&')),
    400,
    'invalid_grant',
  )
  await granted(await send(form))
})

test('T37 other methods than POST: 405 with Allow, and nothing is taken from a query', async () => {
  await open()
  const login = await proxy.login()
  const query = encoded(codeFields(login))
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']) {
    const response = await proxy.fetch(`${ORIGIN}/token?${query}`, { method })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    expect(await response.text()).not.toContain('access_token')
  }
  await granted(await proxy.token(codeFields(login)))
})

test('T38 every other grant: 400 unsupported_grant_type, whatever comes with it', async () => {
  await open()
  const { client, tokens } = await proxy.tokens()
  const grants: Record<string, Record<string, string>> = {
    password: { username: 'alice@example.com', password: 'x' },
    client_credentials: { scope: 'mcp:use' },
    implicit: {},
    'urn:ietf:params:oauth:grant-type:jwt-bearer': { assertion: tokens.access_token },
    'urn:ietf:params:oauth:grant-type:saml2-bearer': { assertion: 'PHg+' },
    'urn:ietf:params:oauth:grant-type:token-exchange': {
      subject_token: tokens.access_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    },
    'urn:ietf:params:oauth:grant-type:device_code': { device_code: 'x' },
    'urn:openid:params:grant-type:ciba': { auth_req_id: 'x' },
  }
  const secretive = await proxy.register({ token_endpoint_auth_method: 'client_secret_post' })
  for (const [grant_type, fields] of Object.entries(grants)) {
    for (const { client_id, client_secret } of [client, secretive]) {
      const form = { grant_type, client_id, ...(client_secret !== undefined && { client_secret }), ...fields }
      await refusal(await proxy.token(form), 400, 'unsupported_grant_type')
    }
    // Not even that is said to somebody unknown.
    await refusal(await proxy.token({ grant_type, client_id: 'x', ...fields }), 401, 'invalid_client')
  }
  expect((await proxy.mcp(tokens.access_token)).status).toBe(200)
})
