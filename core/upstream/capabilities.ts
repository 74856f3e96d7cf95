import type { Peer } from '../gateway/call.ts'
import { version } from '../version.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'

/** Who the proxy says it is. */
export const CLIENT_INFO: JsonObject = { name: 'mcp-proxy-server', version }

/**
 * What is declared to an instance that several clients may use: they can be asked, each by its own call.
 * Never `roots`: a server may take the first client's for everybody's.
 */
export const SHARED_CAPABILITIES: JsonObject = { sampling: {}, elicitation: { form: {}, url: {} } }

/**
 * What one client can be asked, and nothing else of what it declares: extensions, such as tasks, are not routed, so a
 * server must not count on them.
 */
export function capabilitiesOf({ client }: Pick<Peer, 'client'>): JsonObject {
  const { sampling, elicitation, roots } = client.capabilities
  return {
    ...(isObject(sampling) ? { sampling } : undefined),
    ...(isObject(elicitation) ? { elicitation } : undefined),
    ...(isObject(roots) ? { roots } : undefined),
  }
}
