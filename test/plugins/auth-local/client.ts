import { createHash, randomBytes } from 'node:crypto'
import { fieldsOf, openBrowser, type Browser } from '../../fixtures/oauth/browser.ts'
import { CALLBACK, codeFields, type Registered, type Tokens } from '../../fixtures/oauth/proxy.ts'
import { JSON_HEADERS } from '../../harness.ts'

export const ALICE = 'alice@example.com'
export const PASSWORD = 'canary horse battery staple'
export const WRONG = 'canary wrong password'

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'wire', version: '1' } },
})

/** A login on its way, its browser at the login page. */
interface AtLogin {
  readonly browser: Browser
  readonly client: Registered
  readonly verifier: string
  /** Address of the login page. */
  readonly url: string
  readonly page: string
  /** Types into the page and sends it. */
  submit(email: string, password: string, headers?: Record<string, string>): Promise<Response>
}

/** A client and its tokens. */
interface LoggedIn {
  readonly client: Registered
  readonly tokens: Tokens
}

/** Clients of one proxy, and the browsers of their users. */
export interface Clients {
  browser(): Browser
  /** From a client's request to the login page. */
  toLogin(): Promise<AtLogin>
  /** On from there, back to the client; resolves where the browser is sent. */
  toClient(login: AtLogin, email?: string, password?: string): Promise<URL>
  tokens(password?: string): Promise<LoggedIn>
  token(fields: Record<string, string>): Promise<Response>
  refresh(login: LoggedIn): Promise<Response>
  mcp(token: string): Promise<Response>
}

export function clientsOf(origin: string, fetcher: typeof fetch): Clients {
  const post = (path: string, type: string, body: string, headers: Record<string, string> = {}) =>
    fetcher(origin + path, { method: 'POST', headers: { ...headers, 'content-type': type }, body })

  async function register(): Promise<Registered> {
    const metadata = { client_name: 'Test', redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none' }
    return (await (await post('/register', 'application/json', JSON.stringify(metadata))).json()) as Registered
  }

  const clients: Clients = {
    browser: () => openBrowser(fetcher, origin),
    async toLogin() {
      const browser = clients.browser()
      const client = await register()
      const verifier = randomBytes(32).toString('base64url')
      const request = new URLSearchParams({
        response_type: 'code',
        client_id: client.client_id,
        redirect_uri: CALLBACK,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
        scope: 'mcp:use offline_access',
        state: 'client-state',
      })
      const consent = (await browser.get(`/authorize?${request.toString()}`)).headers.get('location') ?? ''
      const fields = fieldsOf(await (await browser.get(consent)).text())
      const url = (await browser.submit('/consent', { ...fields, action: 'approve' })).headers.get('location') ?? ''
      const page = await (await browser.get(url)).text()
      const submit: AtLogin['submit'] = (email, password, headers) =>
        browser.submit('/login', { ...fieldsOf(page), email, password }, headers)
      return { browser, client, verifier, url, page, submit }
    },
    async toClient(login, email = ALICE, password = PASSWORD) {
      const back = await login.submit(email, password)
      const callback = back.headers.get('location')
      if (back.status !== 303 || callback === null) throw new Error(`login: ${back.status} ${await back.text()}`)
      const answer = await login.browser.get(callback)
      return new URL(answer.headers.get('location') ?? `error:${answer.status}`)
    },
    async tokens(password) {
      const login = await clients.toLogin()
      const code = (await clients.toClient(login, ALICE, password)).searchParams.get('code') ?? ''
      const response = await clients.token(codeFields({ ...login, code }))
      if (response.status !== 200) throw new Error(`token: ${response.status} ${await response.text()}`)
      return { client: login.client, tokens: (await response.json()) as Tokens }
    },
    token: (fields) => post('/token', 'application/x-www-form-urlencoded', new URLSearchParams(fields).toString()),
    refresh: ({ client: { client_id }, tokens: { refresh_token = '' } }) =>
      clients.token({ grant_type: 'refresh_token', refresh_token, client_id }),
    mcp: (token) => post('/mcp', 'application/json', INITIALIZE, { ...JSON_HEADERS, authorization: `Bearer ${token}` }),
  }
  return clients
}
