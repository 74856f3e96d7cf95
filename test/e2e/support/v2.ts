import {
  Client,
  StreamableHTTPClientTransport,
  type ClientOptions,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client'

/** A connected client of the SDK's 2.x line. */
export async function connectV2(
  url: string,
  mode: VersionNegotiationMode,
  options: ClientOptions & { readonly fetch?: typeof fetch } = {},
): Promise<Client> {
  const { fetch, ...rest } = options
  const client = new Client({ name: 'v2', version: '2' }, { ...rest, versionNegotiation: { mode } })
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { ...(fetch && { fetch }) }))
  return client
}
