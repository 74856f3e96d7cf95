import { isObject, type JsonObject, type JsonValue } from '../wire/jsonrpc.ts'
import type { About } from './face.ts'

/** What a server says of itself, in the answer to `initialize` or to `server/discover`; where the version and the name stand differs. */
export function readAbout(
  protocolVersion: string,
  { capabilities, instructions }: JsonObject,
  serverInfo: JsonValue | undefined,
): About {
  return {
    protocolVersion,
    capabilities: isObject(capabilities) ? capabilities : {},
    serverInfo: isObject(serverInfo) ? serverInfo : {},
    ...(typeof instructions === 'string' ? { instructions } : undefined),
  }
}
