import {
  auth as authV2,
  StreamableHTTPClientTransport as TransportV2,
  Client as ClientV2,
} from '@modelcontextprotocol/client'
import type { OAuthClientProvider as ProviderV2 } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import type { OAuthClientProvider as ProviderV1 } from '@modelcontextprotocol/sdk/client/auth.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dispose } from '../../fixtures/cli/run.ts'
import { openLoginProxy, PLACES, type LoginProxy } from '../support/login-proxy.ts'

let proxy: LoginProxy
beforeAll(async () => {
  proxy = await openLoginProxy()
})
afterAll(() => dispose())

/** What an OAuth client of either SDK keeps; the person is sent through consent and login at once. */
class Person {
  readonly redirectUrl = 'http://localhost:3000/callback'
  readonly visits: string[] = []
  callback = ''
  information: any
  kept: any
  verifier = ''

  readonly method: string

  constructor(method: string) {
    this.method = method
  }

  get clientMetadata() {
    return {
      client_name: 'SDK client',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: this.method,
    }
  }
  state = (): string => 'a state of the client'
  clientInformation = (): any => this.information
  saveClientInformation = (information: any): void => void (this.information = information)
  tokens = (): any => this.kept
  saveTokens = (tokens: any): void => void (this.kept = tokens)
  saveCodeVerifier = (verifier: string): void => void (this.verifier = verifier)
  codeVerifier = (): string => this.verifier
  redirectToAuthorization = async (url: URL): Promise<void> => {
    this.visits.push(url.href)
    this.callback = await proxy.logIn(url.href)
  }
  invalidateCredentials = (what: string): void => {
    if (what === 'all' || what === 'tokens') this.kept = undefined
    if (what === 'all' || what === 'client') this.information = undefined
  }
}

interface Line {
  readonly name: string
  /** Connects; throws "unauthorized" after having sent the person through the login. */
  connect(person: Person): Promise<{ echo(): Promise<unknown>; close(): Promise<void> }>
  finish(person: Person, callback: URL): Promise<void>
}

const echoed = { content: [{ type: 'text', text: 'Echo: hello' }] }
const call = { name: 'everything_echo', arguments: { message: 'hello' } }

const V1: Line = {
  name: 'SDK v1',
  async connect(person) {
    const client = new ClientV1({ name: 'v1', version: '1' })
    await client.connect(new TransportV1(new URL(proxy.url), { authProvider: person as unknown as ProviderV1 }))
    return { echo: () => client.callTool(call), close: () => client.close() }
  },
  finish: (person, callback) =>
    new TransportV1(new URL(proxy.url), { authProvider: person as unknown as ProviderV1 }).finishAuth(
      callback.searchParams.get('code') ?? '',
    ),
}

const V2: Line = {
  name: 'SDK 2.x',
  async connect(person) {
    const client = new ClientV2({ name: 'v2', version: '2' }, { versionNegotiation: { mode: 'auto' } })
    await client.connect(new TransportV2(new URL(proxy.url), { authProvider: person as unknown as ProviderV2 }))
    return { echo: () => client.callTool(call), close: () => client.close() }
  },
  async finish(person, callback) {
    const authorizationCode = callback.searchParams.get('code') ?? ''
    const iss = callback.searchParams.get('iss') ?? undefined
    const given = { serverUrl: proxy.url, authorizationCode, ...(iss !== undefined && { iss }) }
    await authV2(person, given)
  },
}

describe.each(PLACES)('with people who log in at %s', (place) => {
  beforeAll(async () => {
    proxy = await openLoginProxy(place)
  })
  afterAll(async () => {
    await dispose()
    await proxy?.close()
  })

  describe.each([V1, V2])('$name logs in by itself', ({ connect, finish }) => {
    test.each(['none', 'client_secret_post', 'client_secret_basic'])(
      'discovers, registers (%s), is sent to log in, works, refreshes without a person, is revoked',
      async (method) => {
        const person = new Person(method)
        await expect(connect(person)).rejects.toThrow(/unauthorized/i)
        const callback = new URL(person.callback)
        expect(callback.searchParams.get('state')).toBe('a state of the client')
        expect(callback.searchParams.get('iss')).toBe(proxy.issuer)
        await finish(person, callback)
        expect(person.information).toMatchObject({ token_endpoint_auth_method: method })
        const first = person.kept
        expect(first).toMatchObject({ token_type: 'Bearer', refresh_token: expect.stringMatching(/^mrt1\./) })

        const connected = await connect(person)
        expect(await connected.echo()).toMatchObject(echoed)
        await connected.close()

        // The access token is gone bad: the SDK refreshes on the 401, and nobody is asked anything.
        person.kept = { ...first, access_token: 'worthless' }
        const again = await connect(person)
        expect(await again.echo()).toMatchObject(echoed)
        await again.close()
        expect(person.visits).toHaveLength(1)
        expect(person.kept.refresh_token).not.toBe(first.refresh_token)

        const { client_id, client_secret } = person.information
        const form = { token: person.kept.refresh_token, client_id, ...(client_secret && { client_secret }) }
        const revoked = await fetch(`${proxy.issuer}/revoke`, { method: 'POST', body: new URLSearchParams(form) })
        expect(revoked.status).toBe(200)
        await expect(connect(person)).rejects.toThrow(/unauthorized/i)
        expect(person.visits).toHaveLength(2)
      },
    )
  })
})
