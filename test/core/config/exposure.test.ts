import { describe, expect, test } from 'vitest'
import type { Config } from '../../../core/config/define.ts'
import { checkExposure, isLoopback } from '../../../core/config/exposure.ts'
import { resolveConfig } from '../../../core/config/resolve.ts'
import { definePlugin, type Plugin } from '../../../core/plugin.ts'

const resolveWith = (env: NodeJS.ProcessEnv, config: Config = {}) => resolveConfig(config, { rootDir: '/x', env })
const exposed = (hasAuth: boolean, env: NodeJS.ProcessEnv, config: Config = {}) => {
  return () => checkExposure(resolveWith(env, config), hasAuth)
}
const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_PROXY_CONFIG', message: expect.stringMatching(message) })
const named = (name: string): Plugin => definePlugin({ name, setup() {} })

test('the proxy is not opened to others without auth', () => {
  const open = {
    host: '0.0.0.0',
    port: 8080,
    allowUnauthenticated: false,
    allowedOrigins: [],
    allowedHosts: [],
    baseUrl: 'http://localhost:8080',
    baseUrlIsDefault: false,
  }
  expect(() => checkExposure(open, false)).toThrow(/MCP_HOST: "0\.0\.0\.0".*MCP_ALLOW_UNAUTHENTICATED=1/)
  expect(() => checkExposure(open, false)).toThrow(expect.objectContaining({ code: 'ERR_PROXY_CONFIG' }))
  expect(() => checkExposure(open, true)).not.toThrow()
  expect(() => checkExposure({ ...open, allowUnauthenticated: true }, false)).not.toThrow()
  expect(() => checkExposure({ ...open, host: '127.0.0.1' }, false)).not.toThrow()
})

test.each([
  ['localhost', true],
  ['a.localhost', true],
  ['127.8.9.1', true],
  ['::1', true],
  ['[::1]', true],
  ['127.evil.example', false],
  ['::', false],
  ['0.0.0.0', false],
  ['192.168.1.2', false],
])('%s is this machine only: %s', (host, local) => {
  expect(isLoopback(host)).toBe(local)
})

describe('MCP_ALLOW_UNAUTHENTICATED=local, as the image of the container says', () => {
  const local = { MCP_HOST: '0.0.0.0', MCP_ALLOW_UNAUTHENTICATED: 'local' }

  test.each([{}, { MCP_BASE_URL: 'http://localhost:9000' }, { MCP_ALLOWED_HOSTS: '127.0.0.1:9000,a.localhost' }])(
    'permits names of this machine: %o',
    (more) => expect(exposed(false, { ...local, ...more })).not.toThrow(),
  )

  test.each([
    ['MCP_BASE_URL', 'https://mcp.example.com'],
    ['MCP_ALLOWED_HOSTS', 'localhost,mcp.example.com:8080'],
  ])('refuses %s=%s without login', (name, value) => {
    const env = { ...local, [name]: value }
    expect(exposed(false, env)).toThrow(refused(new RegExp(`^${name}: .*"mcp\\.example\\.com.*MCP_AUTH_PROVIDER`)))
    expect(exposed(false, { ...env, MCP_ALLOW_UNAUTHENTICATED: '1' })).not.toThrow()
    expect(exposed(true, { ...env, MCP_BASE_URL: 'https://mcp.example.com' })).not.toThrow()
  })
})

describe('where logins are bound to', () => {
  const missing = refused(/^MCP_BASE_URL: missing; .*such as https:\/\/mcp\.example\.com$/)

  test.each(['0.0.0.0', '::', '192.168.1.2', 'mcp.example.com'])('%s with auth needs a base URL', (host) => {
    expect(exposed(true, { MCP_HOST: host })).toThrow(missing)
    expect(exposed(true, { MCP_HOST: host })).toThrow(`"${host}"`)
    expect(exposed(true, { MCP_HOST: host, MCP_ALLOW_UNAUTHENTICATED: '1' })).toThrow(missing)
    expect(exposed(true, { MCP_HOST: host, MCP_BASE_URL: 'https://mcp.example.com' })).not.toThrow()
    expect(exposed(true, { MCP_HOST: host }, { baseUrl: 'https://mcp.example.com' })).not.toThrow()
  })

  test.each(['127.0.0.1', 'localhost', '::1'])('%s needs none, but on any port', (host) => {
    expect(exposed(true, { MCP_HOST: host })).not.toThrow()
    expect(exposed(true, { MCP_HOST: host, MCP_PORT: '0' })).toThrow(missing)
    expect(exposed(true, { MCP_HOST: host, MCP_PORT: '0' })).toThrow('port 0')
    expect(exposed(true, { MCP_HOST: host, MCP_PORT: '0', MCP_BASE_URL: 'http://localhost:9' })).not.toThrow()
  })

  test('without auth it may be missing everywhere', () => {
    expect(exposed(false, { MCP_PORT: '0' })).not.toThrow()
    expect(exposed(false, { MCP_HOST: '0.0.0.0', MCP_ALLOW_UNAUTHENTICATED: '1' })).not.toThrow()
  })

  test('one that is what would be taken anyway counts as set', () => {
    expect(resolveWith({ MCP_BASE_URL: 'http://localhost:8080' })).toMatchObject({
      baseUrl: resolveWith({}).baseUrl,
      baseUrlIsDefault: false,
    })
    expect(resolveWith({}, { baseUrl: 'http://localhost:8080' }).baseUrlIsDefault).toBe(false)
  })
})

describe('the host that is taken when nothing names one', () => {
  const PUBLIC = { MCP_BASE_URL: 'https://mcp.example.com' }

  test.each([
    ['neither', {}, '127.0.0.1'],
    ['a base URL alone', PUBLIC, '127.0.0.1'],
    ['auth alone', { MCP_AUTH_PROVIDER: 'local' }, '127.0.0.1'],
    ['both', { ...PUBLIC, MCP_AUTH_PROVIDER: 'local' }, '0.0.0.0'],
    ['both, for this machine', { MCP_BASE_URL: 'http://localhost:8080', MCP_AUTH_PROVIDER: 'local' }, '127.0.0.1'],
    ['a base URL and auth that is off', { ...PUBLIC, MCP_AUTH_PROVIDER: 'none' }, '127.0.0.1'],
    ['both, and MCP_HOST', { ...PUBLIC, MCP_AUTH_PROVIDER: 'oidc', MCP_HOST: '127.0.0.1' }, '127.0.0.1'],
  ])('with %s', (_, env, host) => {
    expect(resolveWith(env).host).toBe(host)
  })

  test('with both in the file, which may name one as well', () => {
    const config: Config = { baseUrl: 'https://mcp.example.com', plugins: ['auth-local'] }
    expect(resolveWith({}, config).host).toBe('0.0.0.0')
    expect(resolveWith({}, { ...config, host: '127.0.0.1' }).host).toBe('127.0.0.1')
  })

  test.each([
    ['auth-x', '0.0.0.0'],
    ['mcp-proxy-plugin-auth-x', '0.0.0.0'],
    ['@scope/auth-x', '0.0.0.0'],
    ['oauth-x', '127.0.0.1'],
    ['access-users', '127.0.0.1'],
    ['author', '127.0.0.1'],
  ])('knows auth plugins by their names: %s', (name, host) => {
    for (const plugin of [name, [name, {}] as const, named(name)]) {
      expect(resolveWith(PUBLIC, { plugins: [plugin] }).host).toBe(host)
    }
  })
})

describe('MCP_ALLOWED_ORIGINS=*', () => {
  test('is refused without auth, whoever else may connect', () => {
    const all = refused(/^MCP_ALLOWED_ORIGINS: "\*".*load an auth plugin/)
    expect(exposed(false, { MCP_ALLOWED_ORIGINS: '*' })).toThrow(all)
    expect(exposed(false, { MCP_ALLOWED_ORIGINS: 'https://a.example,*' })).toThrow(all)
    expect(exposed(false, {}, { allowedOrigins: ['*'] })).toThrow(all)
    expect(exposed(false, { MCP_ALLOWED_ORIGINS: '*', MCP_ALLOW_UNAUTHENTICATED: '1' })).toThrow(all)
  })

  test('is fine with auth, and origins with a name are without', () => {
    expect(exposed(true, { MCP_ALLOWED_ORIGINS: '*' })).not.toThrow()
    expect(exposed(false, { MCP_ALLOWED_ORIGINS: 'https://a.example' })).not.toThrow()
  })

  test.each(['**', '*.example.com', '* https://a.example'])('knows no other wildcard: %s', (value) => {
    const message = `MCP_ALLOWED_ORIGINS: "${value}" is not allowed; expected an origin`
    expect(() => resolveWith({ MCP_ALLOWED_ORIGINS: value })).toThrow(message)
  })
})
