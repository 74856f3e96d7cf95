import type { JsonObject } from '../wire/jsonrpc.ts'
import type { Call, Outcome } from './call.ts'

/** What one server offers, as it listed it. */
export interface Lists {
  readonly tools: readonly JsonObject[]
  readonly prompts: readonly JsonObject[]
  readonly resources: readonly JsonObject[]
  readonly templates: readonly JsonObject[]
}

export type ListKind = keyof Lists

export const EMPTY_LISTS: Lists = { tools: [], prompts: [], resources: [], templates: [] }

/** A server as the gateway sees it: what it offers and where calls go. */
export interface Source {
  readonly name: string
  readonly prefix: string | false
  /** Whether a tool, by its own name, is offered at all. */
  offers(tool: string): boolean
  readonly lists: Lists
  /** Carries a call under the server's own names; throws `RpcError`. */
  call(call: Call): Promise<Outcome>
}

/** All servers, in the order of the configuration. */
export interface Sources {
  readonly all: readonly Source[]
  /** Resolves once every server's first connect has ended, well or not, or after `ms` where given. */
  settled(ms?: number): Promise<void>
  /** Whether some server is still on its first connect. */
  readonly pending: boolean
}
