import type { ConsolaInstance } from 'consola'
import { RpcError } from '../errors.ts'
import { compose, type Middleware } from '../middleware.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
import { complete, type Call, type Method, type Outcome } from './call.ts'
import { buildCatalogue, type Catalogue, type Target } from './catalogue.ts'
import type { Names } from './names.ts'
import { Pages } from './pages.ts'
import { allowedNames, openSources } from './permissions.ts'
import type { ListKind, Source, Sources } from './source.ts'

/** A merged list has changed. */
export interface ListChange {
  readonly kind: 'tools' | 'prompts' | 'resources'
}

/** The middle: takes calls of no era, knows who offers what, and carries each call to its server. */
export interface Gateway {
  /** Throws `RpcError`. */
  call(call: Call): Promise<Outcome>
  /** Hears of changed lists, several changes of one moment as one; call the result to stop. */
  subscribe(listener: (change: ListChange) => void): () => void
  /** Some server's list is new: merge again. */
  refresh(kinds: readonly ListKind[]): void
  /** Whether lists may still grow because servers are on their first connect. */
  readonly settling: boolean
  close(): void
}

export interface GatewayOptions {
  readonly sources: Sources
  readonly names: { readonly tools: Names; readonly prompts: Names }
  readonly middleware: readonly Middleware[]
  readonly logger: ConsolaInstance
  /** How long lists and unknown names wait for servers on their first connect, in ms. */
  readonly firstListWait: number
}

/** How long changes are gathered before clients hear of them, in ms. */
const GATHER = 50

type Handler = (call: Call) => Promise<Outcome>

export function createGateway(options: GatewayOptions): Gateway {
  const { sources, logger } = options
  const warned = new Set<string>()
  const warn = (message: string) => {
    if (!warned.has(message)) logger.warn(message)
    warned.add(message)
  }
  const build = (): Catalogue => buildCatalogue(sources.all, options.names, warn)
  let catalogue = build()
  let pages = new Pages(catalogue)
  const changes = gatherChanges()

  const list = (kind: ListKind): Handler => {
    return async ({ principal, params }) => {
      if (sources.pending) await sources.settled(options.firstListWait)
      return complete(pages.page(kind, principal, params.cursor))
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
      typeof name === 'string' && allowedNames(call.principal)(name) ? catalogue[kind](name) : undefined,
    ).then((target) => target ?? unknownName(kind, name))

  const ofUri = async (call: Call, uri: unknown, look: (uri: string) => Source | undefined): Promise<Source> => {
    const source = await find(() => (typeof uri === 'string' ? look(uri) : undefined))
    const open = call.principal.permissions && openSources(catalogue.items.tools, allowedNames(call.principal))
    if (source === undefined || (open !== undefined && !open.has(source))) return unknownResource(uri)
    return source
  }

  const handlers: Readonly<Record<Method, Handler>> = {
    'tools/list': list('tools'),
    'prompts/list': list('prompts'),
    'resources/list': list('resources'),
    'resources/templates/list': list('templates'),
    'tools/call': async (call) => deliver(await named(call, 'tool', call.params.name), call),
    'prompts/get': async (call) => deliver(await named(call, 'prompt', call.params.name), call),
    'resources/read': async (call) => (await ofUri(call, call.params.uri, (uri) => catalogue.resource(uri))).call(call),
    'completion/complete': async (call) => {
      const ref = call.params.ref
      if (!isObject(ref)) throw new RpcError(ErrorCode.InvalidParams, 'completion/complete: "ref" must be an object')
      if (ref.type === 'ref/prompt') {
        const { source, name } = await named(call, 'prompt', ref.name)
        return source.call({ ...call, params: { ...call.params, ref: { ...ref, name } } })
      }
      const owner = (uri: string) => catalogue.template(uri) ?? catalogue.resource(uri)
      return (await ofUri(call, ref.uri, owner)).call(call)
    },
  }

  return {
    call: compose(options.middleware, (call) => handlers[call.method](call)),
    subscribe: (listener) => changes.subscribe(listener),
    refresh(kinds) {
      catalogue = build()
      pages = new Pages(catalogue)
      for (const kind of kinds) changes.add(kind === 'templates' ? 'resources' : kind)
    },
    get settling() {
      return sources.pending
    },
    close: () => changes.close(),
  }
}

function deliver({ source, name }: Target, call: Call): Promise<Outcome> {
  return source.call(call.params.name === name ? call : { ...call, params: { ...call.params, name } })
}

function unknownName(kind: 'tool' | 'prompt', name: unknown): never {
  if (typeof name !== 'string') throw new RpcError(ErrorCode.InvalidParams, `"name" must be the name of a ${kind}`)
  throw new RpcError(ErrorCode.InvalidParams, `Unknown ${kind}: ${name}`)
}

function unknownResource(uri: unknown): never {
  if (typeof uri !== 'string') throw new RpcError(ErrorCode.InvalidParams, '"uri" must be the URI of a resource')
  const data: JsonObject = { uri }
  throw new RpcError(ErrorCode.ResourceNotFound, `Resource not found: ${uri}`, data)
}

function gatherChanges() {
  const listeners = new Set<(change: ListChange) => void>()
  const waiting = new Set<ListChange['kind']>()
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    timer = undefined
    const kinds = [...waiting]
    waiting.clear()
    for (const kind of kinds) for (const listener of listeners) listener({ kind })
  }
  return {
    add(kind: ListChange['kind']) {
      waiting.add(kind)
      timer ??= setTimeout(flush, GATHER).unref()
    },
    subscribe(listener: (change: ListChange) => void) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close() {
      clearTimeout(timer)
      listeners.clear()
    },
  }
}
