import type { Peer } from '../gateway/call.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'

/**
 * What is declared to an instance that several clients may use: they can be asked, each by its own call.
 * Never `roots`: a server may take the first client's for everybody's.
 */
export const SHARED_CAPABILITIES: JsonObject = { sampling: {}, elicitation: { form: {}, url: {} } }

const ASKABLE = ['sampling', 'elicitation', 'roots']

/** What is declared to an instance of one client: what that client can be asked. */
export function capabilitiesOf({ client }: Peer): JsonObject {
  return Object.fromEntries(
    ASKABLE.flatMap((key) => (isObject(client.capabilities[key]) ? [[key, client.capabilities[key]]] : [])),
  )
}
