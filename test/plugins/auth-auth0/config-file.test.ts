import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { dispose, folder, run } from '../../fixtures/cli/run.ts'
import { API } from '../../fixtures/oidc/knobs.ts'
import { auth0Env, oidcEnv, ORIGIN } from '../../fixtures/oidc/proxy.ts'
import { createStage, refused } from '../../fixtures/oidc/stage.ts'
import { ROOT } from '../../harness.ts'

const stage = createStage()
afterEach(dispose)

const TEMPLATE = {
  provider: 'auth0',
  auth0: {
    domain: '${AUTH0_DOMAIN}',
    jwks_uri: 'https://${AUTH0_DOMAIN}/.well-known/jwks.json',
    issuer: 'https://${AUTH0_DOMAIN}/',
    audience: '${AUTH0_AUDIENCE}',
  },
}

/** A folder with this in its `auth_config.json`. */
async function withFile(content: object | string): Promise<{ dataDir: string; path: string }> {
  const dataDir = await folder()
  const path = join(dataDir, 'auth_config.json')
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return { dataDir, path }
}

const edited = (auth0: object): object => ({ ...TEMPLATE, auth0: { ...TEMPLATE.auth0, ...auth0 } })

test('written when it is missing, with its placeholders and for the owner alone, and never with a secret', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp) })
  const path = join(proxy.dataDir, 'auth_config.json')
  const text = await readFile(path, 'utf8')
  expect(JSON.parse(text)).toEqual(TEMPLATE)
  expect(text.endsWith('}\n')).toBe(true)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  for (const value of Object.values(auth0Env(idp))) expect(text).not.toContain(value.replace(/\/$/, ''))
  expect(proxy.said(/^wrote .*auth_config\.json/, 'info')).toHaveLength(1)

  await proxy.restart()
  expect(await readFile(path, 'utf8')).toBe(text)
  expect(proxy.said(/^wrote /)).toHaveLength(1)
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('only by auth0: another provider neither writes nor reads it', async () => {
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: oidcEnv(idp) })
  await expect(stat(join(proxy.dataDir, 'auth_config.json'))).rejects.toMatchObject({ code: 'ENOENT' })
  const { dataDir } = await withFile('{ broken')
  const other = await stage.proxy(idp, { env: oidcEnv(idp), dataDir })
  expect((await other.mcp(await other.login())).status).toBe(200)
})

test('it switches nothing on: without MCP_AUTH_PROVIDER there is no login', async () => {
  const { dataDir, path } = await withFile(TEMPLATE)
  const idp = await stage.provider()
  const { MCP_AUTH_PROVIDER: _, ...env } = auth0Env(idp)
  const proxy = await stage.proxy(idp, { env, dataDir, config: { host: '127.0.0.1' } })
  expect(proxy.kernel.authenticated).toBe(false)
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(TEMPLATE)
})

test('its provider key has no effect, and says so where it is another one', async () => {
  const { dataDir, path } = await withFile({ ...TEMPLATE, provider: 'oidc' })
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  expect(proxy.said(/./, 'warn').map(({ text }) => text)).toEqual([
    `${path}: provider "oidc" has no effect; MCP_AUTH_PROVIDER says who logs people in`,
  ])
})

test('values equal to the template mean: find it out', async () => {
  const { dataDir } = await withFile(TEMPLATE)
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  // The template's https addresses would reach nobody here.
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

for (const content of [{}, { auth0: {} }, { provider: 'auth0' }, { auth0: { domain: '', issuer: '  ' } }]) {
  test(`a file with less in it, ${JSON.stringify(content)}, leaves the rest to be found out`, async () => {
    const { dataDir } = await withFile(content)
    const idp = await stage.provider()
    const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
    expect((await proxy.mcp(await proxy.login())).status).toBe(200)
    expect(proxy.said(/./, 'warn', 'error')).toEqual([])
  })
}

test('an edited domain and audience count where no variable says otherwise', async () => {
  const idp = await stage.provider()
  const { AUTH0_DOMAIN: _domain, AUTH0_AUDIENCE: _audience, ...env } = auth0Env(idp)
  const { dataDir } = await withFile(edited({ domain: idp.origin, audience: API }))
  const proxy = await stage.proxy(idp, { env, dataDir })
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('a variable goes before the file', async () => {
  const idp = await stage.provider()
  const { dataDir } = await withFile(
    edited({ domain: 'https://elsewhere.example.com', audience: 'https://elsewhere.example.com/api' }),
  )
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('an edited jwks_uri is where keys come from', async () => {
  const keys = await stage.provider()
  const idp = await stage.provider()
  const { dataDir } = await withFile(edited({ jwks_uri: `${keys.issuer}.well-known/jwks.json` }))
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  // Both providers begin with the same key.
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  expect([keys.count('jwks'), idp.count('jwks')]).toEqual([1, 0])
  await keys.rotateKeys()
  await proxy.restart()
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'temporarily_unavailable')
  expect(proxy.said(/its ID token is refused: no applicable key/, 'warn')).toHaveLength(1)
})

test('${AUTH0_DOMAIN} in an edited value is the domain without scheme and slash', async () => {
  const idp = await stage.provider()
  idp.knobs.rewrite.discovery = ({ body }) => delete body.jwks_uri
  const { dataDir } = await withFile(edited({ jwks_uri: 'http://${AUTH0_DOMAIN}/.well-known/jwks.json' }))
  const proxy = await stage.proxy(idp, {
    env: auth0Env(idp, { AUTH0_DOMAIN: `${idp.origin}//`.slice(0, -1) }),
    dataDir,
  })
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('an edited issuer is the one that tokens have to be of, a slash more or less', async () => {
  const idp = await stage.provider()
  const issuer = 'https://login.example.com/'
  const { dataDir } = await withFile(edited({ issuer: 'https://login.example.com' }))
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  const { flow, back } = await proxy.walk()
  refused(flow, back, 'server_error')
  idp.knobs.rewrite.discovery = ({ body }) => {
    body.issuer = issuer
    delete body.authorization_response_iss_parameter_supported
  }
  idp.knobs.idToken = { claims: { iss: issuer } }
  idp.knobs.accessToken = { claims: { iss: issuer } }
  await proxy.restart()
  const callback = await proxy.walk({ until: ({ pathname }) => pathname === '/auth/callback' })
  callback.back.searchParams.delete('iss')
  const response = await callback.flow.browser.get(callback.back.href)
  const answer = new URL(response.headers.get('location') ?? '')
  expect((await proxy.redeem(callback.flow, answer)).status).toBe(200)
})

test('unknown keys are warned of by name, with those that are known', async () => {
  const { dataDir, path } = await withFile({ ...edited({ client_secret: 'canary', domian: 'x' }), version: 1 })
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  const known = 'auth0.domain, auth0.jwks_uri, auth0.issuer, auth0.audience'
  expect(proxy.said(/./, 'warn').map(({ text }) => text)).toEqual([
    `${path}: version is unknown and has no effect; known are provider, auth0`,
    `${path}: auth0.client_secret is unknown and has no effect; known are ${known}`,
    `${path}: auth0.domian is unknown and has no effect; known are ${known}`,
  ])
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
  expect(proxy.log()).not.toContain('canary')
})

test('a byte order mark before it does no harm', async () => {
  const { dataDir } = await withFile(`\uFEFF${JSON.stringify(TEMPLATE)}`)
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  expect(proxy.said(/./, 'warn', 'error')).toEqual([])
})

const BROKEN: Record<string, string> = {
  'no JSON': '{ "provider": "auth0", ',
  empty: '',
  'a list': '[]',
  text: '"auth0"',
  null: 'null',
  'auth0 as text': '{ "auth0": "tenant.auth0.com" }',
  'a value that is no text': JSON.stringify(edited({ audience: 5 })),
  'an issuer in the clear': JSON.stringify(edited({ issuer: 'http://login.example.com/' })),
  'an issuer that is none': JSON.stringify(edited({ issuer: 'login' })),
  'keys in the clear': JSON.stringify(edited({ jwks_uri: 'http://login.example.com/keys' })),
  'keys from a file': JSON.stringify(edited({ jwks_uri: 'file:///etc/passwd' })),
}

for (const [name, content] of Object.entries(BROKEN)) {
  test(`a file that is broken, ${name}: refused with its name, and left as it is`, async () => {
    const { dataDir, path } = await withFile(content)
    const idp = await stage.provider()
    await expect(stage.proxy(idp, { env: auth0Env(idp), dataDir })).rejects.toMatchObject({
      code: 'ERR_PROXY_CONFIG',
      message: expect.stringContaining(`${path}: `),
    })
    expect(await readFile(path, 'utf8')).toBe(content)
  })
}

test('a domain in the file that is none is refused with the name of the file, one in the variable with that of the variable', async () => {
  const idp = await stage.provider()
  const { AUTH0_DOMAIN: _, ...env } = auth0Env(idp)
  const { dataDir, path } = await withFile(edited({ domain: 'http://tenant.auth0.com' }))
  await expect(stage.proxy(idp, { env, dataDir })).rejects.toThrow(`${path}: auth0.domain: `)
  const domain = { ...env, AUTH0_DOMAIN: 'http://tenant.auth0.com' }
  await expect(stage.proxy(idp, { env: domain, dataDir })).rejects.toThrow('AUTH0_DOMAIN: ')
})

test('as a real process a broken file ends it with 78, its name in the message', async () => {
  const { dataDir, path } = await withFile('{ "provider": ')
  const { ended, output } = run(join(ROOT, 'core/cli.ts'), [], {
    cwd: dataDir,
    env: {
      MCP_PORT: '0',
      MCP_BASE_URL: ORIGIN,
      MCP_HOST: '127.0.0.1',
      MCP_DATA_DIR: dataDir,
      MCP_AUTH_PROVIDER: 'oauth_proxy',
      AUTH0_DOMAIN: 'tenant.auth0.com',
      AUTH0_CLIENT_ID: 'id',
      AUTH0_CLIENT_SECRET: 'secret-canary',
      AUTH0_AUDIENCE: API,
    },
  })
  expect(await ended).toEqual({ code: 78, signal: null })
  expect(output()).toContain(`${path}: `)
  expect(output()).toContain('delete it to have a new one written')
  expect(output()).not.toContain('canary')
})

test('MCP_AUTH_CONFIG_PATH says where it is, from the folder the command is typed in', async () => {
  const cwd = await folder()
  const proxy = run(join(ROOT, 'core/cli.ts'), [], {
    cwd,
    env: {
      MCP_PORT: '0',
      MCP_BASE_URL: ORIGIN,
      MCP_HOST: '127.0.0.1',
      MCP_AUTH_PROVIDER: 'oauth_proxy',
      MCP_AUTH_CONFIG_PATH: 'somewhere/else.json',
      AUTH0_DOMAIN: 'http://localhost:1',
      AUTH0_CLIENT_ID: 'id',
      AUTH0_CLIENT_SECRET: 'secret-canary',
      AUTH0_AUDIENCE: API,
    },
  })
  await proxy.until(/^ready /m)
  // Nobody answers at that port: it says so, and goes on.
  await proxy.until(/logins at Auth0 are not possible/)
  expect(JSON.parse(await readFile(join(cwd, 'somewhere/else.json'), 'utf8'))).toEqual(TEMPLATE)
  await expect(stat(join(cwd, 'data/auth_config.json'))).rejects.toMatchObject({ code: 'ENOENT' })
  proxy.child.kill('SIGTERM')
  expect(await proxy.ended).toEqual({ code: 0, signal: null })
  expect(proxy.output()).not.toContain('canary')
})

test('a place that cannot be written, such as a link to nowhere, is warned of and stops nothing', async () => {
  const dataDir = await folder()
  await symlink(join(dataDir, 'nowhere', 'auth_config.json'), join(dataDir, 'auth_config.json'))
  const idp = await stage.provider()
  const proxy = await stage.proxy(idp, { env: auth0Env(idp), dataDir })
  expect(proxy.said(/auth_config\.json could not be written: /, 'warn')).toHaveLength(1)
  expect((await proxy.mcp(await proxy.login())).status).toBe(200)
})

test('a folder or a file in the way is refused with the name of what was wanted', async () => {
  const idp = await stage.provider()
  const dataDir = await folder()
  const path = join(dataDir, 'auth_config.json')
  await mkdir(path)
  await expect(stage.proxy(idp, { env: auth0Env(idp), dataDir })).rejects.toThrow(`${path}: cannot be read`)
  const below = join(dataDir, 'users.json', 'auth_config.json')
  const env = auth0Env(idp, { MCP_AUTH_CONFIG_PATH: below })
  await expect(stage.proxy(idp, { env, dataDir })).rejects.toThrow(`${below}: cannot be read`)
})
