import type { AddressInfo } from 'node:net'
import type { ResolvedConfig } from '../config/resolved.ts'

export interface Urls {
  /** The endpoint as this machine reaches it. */
  readonly local: string
  /** The endpoint as clients have to name it: under `MCP_BASE_URL` where that is set, or where logins are bound to it. */
  readonly client: string
}

/** Where the endpoint is. The bound address counts, since port 0 means any. */
export function urlsOf(
  config: Pick<ResolvedConfig, 'baseUrl' | 'baseUrlIsDefault' | 'mcpPath'>,
  bound: AddressInfo,
  authenticated: boolean,
): Urls {
  const local = `http://${reachable(bound.address)}:${bound.port}${config.mcpPath}`
  return { local, client: config.baseUrlIsDefault && !authenticated ? local : `${config.baseUrl}${config.mcpPath}` }
}

/** "All addresses" is none that can be connected to. */
function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  if (address === '::') return '[::1]'
  return address.includes(':') ? `[${address}]` : address
}
