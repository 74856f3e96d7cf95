import type { OAuthProxy, OAuthProxyOptions, Registered } from '../../../fixtures/oauth/proxy.ts'
import { openOAuth } from '../../../fixtures/oauth/proxy.ts'
import { documentAt, openDocumentServer, type DocumentServer } from '../../../fixtures/oauth/document-server.ts'

export const ID = 'https://client.mcp-test.com/client.json'
export const LOCAL = 'http://localhost/callback'
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** A proxy whose client metadata documents come from a server in our hands. */
export interface DocumentedProxy {
  readonly proxy: OAuthProxy
  readonly server: DocumentServer
  close(): Promise<void>
}

export async function openDocumented(options: OAuthProxyOptions = {}): Promise<DocumentedProxy> {
  const server = await openDocumentServer()
  const proxy = await openOAuth({ documentFetch: server.options, ...options }).catch(async (error: unknown) => {
    await server.stop()
    throw error
  })
  return {
    proxy,
    server,
    async close() {
      await proxy.close()
      await server.stop()
    },
  }
}

/** A client of a document, as the helpers of `OAuthProxy` take it. */
export function clientOf(client_id = ID, redirect_uri = LOCAL): Registered {
  return { client_id, redirect_uris: [redirect_uri] }
}

/** An /authorize request; resolves the answer. */
export function authorize(
  proxy: OAuthProxy,
  client: Registered = clientOf(),
  headers?: Record<string, string>,
): Promise<Response> {
  return proxy.browser().get(proxy.request(client).url, headers)
}

/** Statuses of several requests at once, each with how many got it. */
export async function statuses(responses: readonly Promise<Response>[]): Promise<Record<number, number>> {
  const counts: Record<number, number> = {}
  for (const { status } of await Promise.all(responses)) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

export { documentAt }
