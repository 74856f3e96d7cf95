import type { ConsolaInstance } from 'consola'
import type { Principal } from '../auth.ts'
import { RpcError } from '../errors.ts'
import { compose, type Middleware } from '../middleware.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
import { complete, type Call, type Method, type Outcome, type Peer } from './call.ts'
import { buildCatalogue, type Catalogue, type Target } from './catalogue.ts'
import type { GatewayEvent } from './ears.ts'
import { mergeInstructions } from './instructions.ts'
import type { Names } from './names.ts'
import { Pages } from './pages.ts'
import { allowedNames, isOpen } from './permissions.ts'
import type { ListKind, Source, SourceEvent, Sources } from './source.ts'
import { createSubscriptions, notFound, type Subscription } from './subscriptions.ts'

export type { GatewayEvent } from './ears.ts'
export type { Subscription } from './subscriptions.ts'

/** The middle: takes calls of no era, knows who offers what, and carries each call to its server. */
export interface Gateway {
  /** Throws `RpcError`. */
  call(call: Call): Promise<Outcome>
  /** Rejects `RpcError` ResourceNotFound unless some server offers this resource to the principal. */
  checkResource(principal: Principal, uri: string): Promise<void>
  /** Whether what a request names is there, and for the principal to use. Cheap, waits for nothing. */
  mayCall(principal: Principal, method: Method, params: JsonObject): boolean
  /** A tool as it is listed to the principal, by its exposed name. */
  tool(principal: Principal, name: string): JsonObject | undefined
  /** Opens an ear for changed lists (several changes of one moment as one), resources, and logs outside of calls. */
  subscribe(peer: Peer, on: (event: GatewayEvent) => void): Subscription
  /** The peer of a party that has an open stream, subscribed last. */
  peerOf(party: string): Peer | undefined
  /** A server said something outside of any call. */
  heard(source: Source, event: SourceEvent): void
  /** Some server's lists of these kinds are new, or, with none, its instructions: merge again. */
  refresh(kinds: readonly ListKind[]): void
  /** The party is gone for good. */
  release(party: string): void
  /** What the servers that a principal may use tell models about themselves, merged. */
  instructions(principal: Principal): string | undefined
  /** Whether lists may still grow because servers are on their first connect. */
  readonly settling: boolean
  /** Resolves once that is no longer so, or has been waited for as long as an answer may wait. */
  settled(): Promise<void>
  close(): void
}

export interface GatewayOptions {
  readonly sources: Sources
  readonly names: { readonly tools: Names; readonly prompts: Names }
  readonly middleware: readonly Middleware[]
  /** Told of each call that has ended: how long it took (ms) and what it failed with. */
  readonly oncall?: ((call: Call, took: number, error?: unknown) => void) | undefined
  readonly logger: ConsolaInstance
  /** How long lists and unknown names wait for servers on their first connect, in ms. */
  readonly firstListWait: number
}

type Handler = (call: Call) => Promise<Outcome>

export function createGateway(options: GatewayOptions): Gateway {
  const { sources, logger } = options
  const warned = new Set<string>()
  const warn = (message: string) => {
    if (!warned.has(message)) logger.warn(message)
    warned.add(message)
  }
  const build = (): Merged => merge(sources, buildCatalogue(sources.all, options.names, warn))
  let merged = build()
  const subscriptions = createSubscriptions({
    ownerOf(principal, uri) {
      const source = merged.catalogue.resource(uri)
      return source && isOpen(merged.catalogue.items.tools, principal, source) ? source : undefined
    },
    more: async () => (sources.pending ? sources.settled(options.firstListWait) : undefined),
  })

  const list = (kind: ListKind): Handler => {
    return async ({ principal, params }) => {
      if (sources.pending) await sources.settled(options.firstListWait)
      // What was only a part is all there is, if nothing has come since.
      if (!merged.whole && !sources.pending) merged = merge(sources, merged.catalogue)
      return complete(merged.pages.page(kind, principal, params.cursor))
    }
  }

  /** Looks up; while servers are on their first connect, a name nobody knows yet may still come. */
  async function find<T>(look: () => T | undefined): Promise<T | undefined> {
    const found = look()
    if (found !== undefined || !sources.pending) return found
    await sources.settled(options.firstListWait)
    return look()
  }

  const named = (call: Call, kind: 'tool' | 'prompt', name: unknown): Promise<Target> =>
    find(() =>
      typeof name === 'string' && allowedNames(call.principal)(name) ? merged.catalogue[kind](name) : undefined,
    ).then((target) => target ?? unknownName(kind, name))

  const ofUri = async (principal: Principal, uri: unknown, look: (uri: string) => Source | undefined) => {
    if (typeof uri !== 'string') throw new RpcError(ErrorCode.InvalidParams, '"uri" must be the URI of a resource')
    const source = await find(() => look(uri))
    if (source === undefined || !isOpen(merged.catalogue.items.tools, principal, source)) throw notFound(uri)
    return source
  }
  const ofResource = (principal: Principal, uri: unknown) =>
    ofUri(principal, uri, (uri) => merged.catalogue.resource(uri))

  const handlers: Readonly<Record<Method, Handler>> = {
    'tools/list': list('tools'),
    'prompts/list': list('prompts'),
    'resources/list': list('resources'),
    'resources/templates/list': list('templates'),
    'tools/call': async (call) => deliver(await named(call, 'tool', call.params.name), call),
    'prompts/get': async (call) => deliver(await named(call, 'prompt', call.params.name), call),
    'resources/read': async (call) => (await ofResource(call.principal, call.params.uri)).call(call),
    'completion/complete': async (call) => {
      const ref = call.params.ref
      if (!isObject(ref)) throw new RpcError(ErrorCode.InvalidParams, 'completion/complete: "ref" must be an object')
      if (ref.type === 'ref/prompt') {
        const { source, name } = await named(call, 'prompt', ref.name)
        return source.call({ ...call, params: { ...call.params, ref: { ...ref, name } } })
      }
      const owner = (uri: string) => merged.catalogue.template(uri) ?? merged.catalogue.resource(uri)
      return (await ofUri(call.principal, ref.uri, owner)).call(call)
    },
  }

  function mayCall(principal: Principal, method: Method, { name, uri }: JsonObject): boolean {
    const { catalogue } = merged
    const isNamed = (kind: 'tool' | 'prompt') =>
      typeof name === 'string' && allowedNames(principal)(name) && catalogue[kind](name) !== undefined
    if (method === 'tools/call') return isNamed('tool')
    if (method === 'prompts/get') return isNamed('prompt')
    if (method !== 'resources/read') return true
    const source = typeof uri === 'string' ? catalogue.resource(uri) : undefined
    return source !== undefined && isOpen(catalogue.items.tools, principal, source)
  }

  return {
    mayCall,
    call: told(
      compose(options.middleware, (call) => handlers[call.method](call)),
      options.oncall,
    ),
    tool: (principal, name) => (allowedNames(principal)(name) ? merged.catalogue.tool(name)?.item : undefined),
    checkResource: async (principal, uri) => void (await ofResource(principal, uri)),
    subscribe: (peer, on) => subscriptions.open(peer, on),
    peerOf: (party) => subscriptions.peerOf(party),
    heard: (source, event) => subscriptions.heard(source, event),
    refresh(kinds) {
      merged = build()
      for (const kind of kinds) subscriptions.changed(kind === 'templates' ? 'resources' : kind)
      subscriptions.reroute()
    },
    release(party) {
      for (const source of sources.all) source.release(party)
    },
    instructions: (principal) => merged.instructions(principal),
    get settling() {
      return sources.pending
    },
    settled: async () => (sources.pending ? sources.settled(options.firstListWait) : undefined),
    close: () => subscriptions.close(),
  }
}

/** The same carrier, with somebody told of each call's end. No middleware: those may change a result, so that its text as it came could not be handed on. */
function told(carry: Handler, oncall: GatewayOptions['oncall']): Handler {
  if (oncall === undefined) return carry
  return async (call) => {
    const began = performance.now()
    try {
      const outcome = await carry(call)
      oncall(call, performance.now() - began)
      return outcome
    } catch (error) {
      oncall(call, performance.now() - began, error)
      throw error
    }
  }
}

function deliver({ source, name }: Target, call: Call): Promise<Outcome> {
  return source.call(call.params.name === name ? call : { ...call, params: { ...call.params, name } })
}

function unknownName(kind: 'tool' | 'prompt', name: unknown): never {
  if (typeof name !== 'string') throw new RpcError(ErrorCode.InvalidParams, `"name" must be the name of a ${kind}`)
  throw new RpcError(ErrorCode.InvalidParams, `Unknown ${kind}: ${name}`)
}

/** All that is made once per change of what servers offer. */
interface Merged {
  /** False when some server was still on its first connect. */
  readonly whole: boolean
  readonly catalogue: Catalogue
  readonly pages: Pages
  readonly instructions: (principal: Principal) => string | undefined
}

function merge({ all, pending }: Sources, catalogue: Catalogue): Merged {
  const ready = new WeakMap<object, { readonly text: string | undefined }>()
  return {
    whole: !pending,
    catalogue,
    pages: new Pages(catalogue, !pending),
    instructions(principal) {
      const key = principal.permissions ?? all
      let merged = ready.get(key)
      if (merged === undefined) {
        const open = all.filter((source) => isOpen(catalogue.items.tools, principal, source))
        ready.set(key, (merged = { text: mergeInstructions(open) }))
      }
      return merged.text
    },
  }
}
