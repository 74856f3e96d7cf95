import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveConfig } from '../core/config/resolve.ts'
import { createKernel, type Kernel } from '../core/kernel.ts'
import type { Plugin } from '../core/plugin.ts'
// @ts-expect-error -- a plugin as others write it, without types
import * as module from '../examples/auth-github/index.js'
import { identitySourceContract, pluginContract, type MadePlugin, type MadeSource } from '../testing/index.ts'
import { siteAt } from './fixtures/oidc/site.ts'
import { captureLog, ROOT } from './harness.ts'

/** What GitHub answers: the real one cannot be asked here. */
const github = { email: 'octo@example.com', verified: true, tokenAnswer: {} as object, asked: [] as string[] }
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', 'http://github.test')
  github.asked.push(url.pathname)
  const json = (body: object) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
  if (url.pathname === '/login/oauth/authorize') {
    const back = `${url.searchParams.get('redirect_uri')}?code=abc&state=${url.searchParams.get('state')}`
    return void response.writeHead(302, { location: back }).end()
  }
  if (url.pathname === '/login/oauth/access_token') {
    const isKnown = new URLSearchParams(await text(request)).get('code') === 'abc'
    return void json(isKnown ? { access_token: 'gho_1', ...github.tokenAnswer } : { error: 'bad_verification_code' })
  }
  if (url.pathname === '/user') return void json({ id: 583_231, login: 'octo', name: 'Octo Cat' })
  json([{ email: github.email, primary: true, verified: github.verified }])
}

const { default: authGithub, githubSource } = module as {
  default: (options: object) => Plugin
  githubSource: (options: object) => MadeSource['source']
}
const CREDENTIALS = { GITHUB_CLIENT_ID: 'id', GITHUB_CLIENT_SECRET: 'canary-secret' }

const server = createServer((request, response) => void answer(request, response))
let place: string
let kernel: Kernel
let dataDir: string

beforeEach(async () => {
  Object.assign(github, { email: 'octo@example.com', verified: true, tokenAnswer: {}, asked: [] })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  place = `http://localhost:${(server.address() as AddressInfo).port}`
  dataDir = await mkdtemp(join(tmpdir(), 'mcp-proxy-example-'))
  await writeFile(join(dataDir, 'users.json'), '{ "octo@example.com": {} }')
  const plugin = authGithub({ site: place, api: place })
  const config = { baseUrl: 'https://mcp.example.com', plugins: ['storage-fs', 'access-users', plugin], dataDir }
  kernel = await createKernel(resolveConfig(config, { rootDir: ROOT, env: CREDENTIALS }), {
    logger: captureLog().logger,
  })
})
afterEach(async () => {
  await kernel.close()
  server.close()
  server.closeAllConnections()
  await rm(dataDir, { recursive: true, force: true })
})

test('an identity provider from outside: GitHub, through the exported port', async () => {
  const site = siteAt('https://mcp.example.com', () => kernel)
  const login = await site.login()
  expect(github.asked).toEqual(expect.arrayContaining(['/login/oauth/authorize', '/login/oauth/access_token', '/user']))
  expect((await site.mcp(login)).status).toBe(200)
  expect((await site.refresh(login)).status).toBe(200)
})

test.each([
  ['an address nobody has verified', { verified: false }, 'access_denied'],
  ['somebody who is not on the list', { email: 'other@example.com' }, 'access_denied'],
  [
    'a wrong secret',
    { tokenAnswer: { access_token: undefined, error: 'incorrect_client_credentials' } },
    'server_error',
  ],
])('%s: the client hears %s', async (_, change, error) => {
  Object.assign(github, change)
  const site = siteAt('https://mcp.example.com', () => kernel)
  const { back } = await site.walk()
  expect(back.searchParams.get('error')).toBe(error)
})

pluginContract({ describe, test }, 'auth-github', () => ({
  module: module as MadePlugin['module'],
  accepts: [{}, { site: 'https://github.example.com', api: 'https://github.example.com/api/v3', name: 'Ours' }],
  refuses: [{ nonsense: true }, { idleLife: -1 }],
  config: { baseUrl: 'https://mcp.example.com', plugins: ['access-users'] },
  env: CREDENTIALS,
  secrets: [CREDENTIALS.GITHUB_CLIENT_SECRET],
}))

identitySourceContract({ describe, test }, 'GitHub', () => ({
  source: githubSource({ site: place, api: place, id: 'id', secret: CREDENTIALS.GITHUB_CLIENT_SECRET }),
  async login(url) {
    const response = await fetch(url, { redirect: 'manual' })
    return response.headers.get('location') ?? ''
  },
  secrets: [CREDENTIALS.GITHUB_CLIENT_SECRET],
}))
