import { setTimeout as sleep } from 'node:timers/promises'
import { modernRequest } from '../../../fixtures/oauth/tools.ts'
import { messagesOf, openLegacy, type LegacyWire } from '../../../harness.ts'
import type { Login } from './people.ts'

/** Adds the access token that a login has by then. */
export function withLogin(login: Login | undefined, fetcher: typeof fetch = fetch): typeof fetch {
  if (login === undefined) return fetcher
  return (input, init) => {
    const headers = new Headers(init?.headers)
    headers.set('authorization', `Bearer ${login.tokens.access_token}`)
    return fetcher(input, { ...init, headers })
  }
}

/** Opens a session; rejects where the proxy gives none. */
export async function openSession(url: string, fetcher: typeof fetch = fetch): Promise<LegacyWire> {
  const session = await openLegacy(url, '2025-06-18', fetcher)
  if (session.sessionId === '') throw new Error('no session was given')
  return session
}

/** Ends a session as clients do. */
export function deleteSession(
  url: string,
  { sessionId }: LegacyWire,
  fetcher: typeof fetch = fetch,
): Promise<Response> {
  return fetcher(url, { method: 'DELETE', headers: { 'mcp-session-id': sessionId } })
}

/** Calls `echo` of a server in a session; resolves once the right answer is there, rejects with any other. */
export async function callInSession(session: LegacyWire, server = 'everything'): Promise<void> {
  const nonce = String(Math.random())
  check(await session.request('tools/call', callOf(server, nonce)), nonce)
}

/** The same without a session, as clients of 2026-07-28 do. */
export async function callModern(url: string, fetcher: typeof fetch, server = 'everything'): Promise<void> {
  const nonce = String(Math.random())
  const response = await fetcher(url, modernRequest('tools/call', callOf(server, nonce)))
  check((await messagesOf(response)).at(-1), nonce)
}

function callOf(server: string, nonce: string): { readonly name: string; readonly arguments: object } {
  if (server === 'everything') return { name: 'everything_echo', arguments: { message: nonce } }
  return { name: `${server}_search_nodes`, arguments: { query: nonce } }
}

function check(answer: any, nonce: string): void {
  const text: unknown = answer?.result?.content?.[0]?.text
  if (typeof text === 'string' && (text === `Echo: ${nonce}` || text.includes('"entities"'))) return
  throw new Error(String(answer?.error?.message ?? text ?? JSON.stringify(answer) ?? 'no answer').slice(0, 200))
}

/** Calls that go on and on. */
export interface Load {
  readonly calls: number
  /** Why calls failed, each reason once. */
  readonly failures: readonly string[]
  /** Resolves once no call is under way. */
  stop(): Promise<void>
}

/** Ms between two calls of one caller. */
const PAUSE = 30

/** Lets each of these call again and again, until it is stopped. */
export function startLoad(callers: readonly (() => Promise<void>)[]): Load {
  const failures = new Set<string>()
  let calls = 0
  let isStopped = false
  const all = Promise.all(
    callers.map(async (call) => {
      while (!isStopped) {
        try {
          await call()
        } catch (error) {
          failures.add(wordsOf(error))
        }
        calls++
        await sleep(PAUSE)
      }
    }),
  )
  return {
    get calls() {
      return calls
    },
    get failures() {
      return [...failures]
    },
    async stop() {
      isStopped = true
      await all
    },
  }
}

/** An error and what it comes of: `fetch` says no more than that it failed. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause as { readonly code?: string; readonly message?: string } | undefined
  return cause === undefined ? error.message : `${error.message}: ${cause.code ?? cause.message}`
}
