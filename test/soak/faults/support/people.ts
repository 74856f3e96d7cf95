import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addUser } from '../../../fixtures/oauth/walk.ts'
import { CALLBACK, codeFields, type Registered, type Tokens } from '../../../fixtures/oauth/proxy.ts'
import { ALICE, clientsOf, PASSWORD, type Clients } from '../../../plugins/auth-local/client.ts'
import { COMPILED } from './program.ts'

/** What the program needs to log people in by itself. */
export const LOGIN = { MCP_AUTH_PROVIDER: 'local' }

/** A client with the tokens of a login. */
export interface Login {
  readonly client: Registered
  tokens: Tokens
}

/** People with a browser, and the clients that they use. */
export interface People extends Clients {
  /** A whole login with its tokens. */
  logIn(): Promise<Login>
  /** A login up to its code; resolves the form that redeems it. */
  toCode(): Promise<Record<string, string>>
  /** Registers a client. */
  register(): Promise<Response>
  /** Begins a login. */
  authorize(client: Registered): Promise<Response>
  /** Asks for new tokens, and keeps them where there are some. */
  renew(login: Login): Promise<Response>
}

let template: Promise<string> | undefined

/** Puts what `users add` writes, which one run of it has written for all drills, into an empty data folder. */
export async function addPeople(dataDir: string): Promise<void> {
  cpSync(await (template ??= makeTemplate()), dataDir, { recursive: true })
}

async function makeTemplate(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-proxy-soak-people-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  await addUser({ email: ALICE, password: PASSWORD }, { MCP_DATA_DIR: dir, NODE_COMPILE_CACHE: COMPILED })
  return dir
}

export function peopleOf(origin: string, fetcher: typeof fetch = fetch): People {
  const clients = clientsOf(origin, fetcher)
  const metadata = { client_name: 'Soak', redirect_uris: [CALLBACK], token_endpoint_auth_method: 'none' }
  return {
    ...clients,
    logIn: () => clients.tokens(),
    async toCode() {
      const login = await clients.toLogin()
      const code = (await clients.toClient(login)).searchParams.get('code') ?? ''
      return codeFields({ ...login, code })
    },
    register: () =>
      fetcher(`${origin}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(metadata),
      }),
    authorize(client) {
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: client.client_id,
        redirect_uri: CALLBACK,
        code_challenge: 'A'.repeat(43),
        code_challenge_method: 'S256',
      })
      return clients.browser().get(`/authorize?${query.toString()}`)
    },
    async renew(login) {
      const response = await clients.refresh(login)
      if (response.status === 200) login.tokens = (await response.clone().json()) as Tokens
      return response
    },
  }
}
