import { reasonOf, RpcError } from '../errors.ts'
import { LOCAL_USER } from '../auth.ts'
import { stricter } from '../gateway/caching.ts'
import type { Call, Method } from '../gateway/call.ts'
import { EMPTY_LISTS, type Caching, type ListKind, type Lists } from '../gateway/source.ts'
import { ErrorCode } from '../wire/codes.ts'
import { isObject, type JsonObject } from '../wire/jsonrpc.ts'
import { readCaching } from './caching.ts'
import { SHARED_CAPABILITIES } from './capabilities.ts'
import type { About, UpstreamFace } from './face.ts'

/** Pages read of one list before the server is held to page for ever. */
export const PAGE_CAP = 64

const LISTS: Readonly<Record<ListKind, { method: Method; key: string; id: string; capability: string }>> = {
  tools: { method: 'tools/list', key: 'tools', id: 'name', capability: 'tools' },
  prompts: { method: 'prompts/list', key: 'prompts', id: 'name', capability: 'prompts' },
  resources: { method: 'resources/list', key: 'resources', id: 'uri', capability: 'resources' },
  templates: {
    method: 'resources/templates/list',
    key: 'resourceTemplates',
    id: 'uriTemplate',
    capability: 'resources',
  },
}

export const LIST_KINDS = Object.keys(LISTS) as readonly ListKind[]

export interface ListReader {
  readonly face: UpstreamFace
  readonly about: About
  readonly signal: AbortSignal
  /** What was read before: it stays where a list cannot be read now. */
  readonly known: Lists
  /** Hears what is wrong with a list that is used all the same. */
  warn(message: string): void
  /** Hears how long a list that was read may be kept, where the server says so. */
  oncaching?(kind: ListKind, caching: Caching | undefined): void
}

/** Reads the lists of these kinds that the server says it has; one it fails to give stays as it was and is warned about. */
export async function readLists(reader: ListReader, kinds: readonly ListKind[]): Promise<Partial<Lists>> {
  const entries = await Promise.all(
    kinds.map(async (kind) => {
      const offered = reader.about.capabilities[LISTS[kind].capability] !== undefined
      return [kind, offered ? await readList(reader, kind) : EMPTY_LISTS[kind]] as const
    }),
  )
  return Object.fromEntries(entries)
}

async function readList(reader: ListReader, kind: ListKind): Promise<readonly JsonObject[]> {
  const { method, key } = LISTS[kind]
  const items: JsonObject[] = []
  let caching: Caching | undefined
  let last: JsonObject = {}
  try {
    for await (const page of readPages(reader.face.call, method, reader.signal)) {
      const part = page[key]
      if (!Array.isArray(part)) throw new Error(`the answer has no "${key}" list`)
      items.push(...part)
      if (reader.face.era === 'modern') caching = stricter(caching, readCaching(page))
      last = page
    }
    if (hasMore(last)) reader.warn(`${method}: more than ${PAGE_CAP} pages, the rest is left out`)
    else reader.oncaching?.(kind, caching)
  } catch (error) {
    if (reader.signal.aborted || isGone(error)) throw error
    // Templates came later than resources: a server without them simply does not know the method.
    const unknown = (error as { code?: unknown }).code === ErrorCode.MethodNotFound
    if (!(unknown && kind === 'templates')) reader.warn(`${method} failed: ${reasonOf(error)}`)
    if (!unknown && reader.known[kind].length > 0) return reader.known[kind]
  }
  return distinct(reader, kind, items)
}

/** The answers to a list request, page by page, up to the cap: the last one then still has a cursor. Rejects as the call does. */
export async function* readPages(
  call: UpstreamFace['call'],
  method: Method,
  signal: AbortSignal,
): AsyncGenerator<JsonObject, void> {
  let params: JsonObject = {}
  for (let count = 0; count < PAGE_CAP; count++) {
    const page = (await call(ownCall(method, params, signal))).result as JsonObject
    yield page
    if (!hasMore(page)) return
    params = { cursor: page.nextCursor }
  }
}

function hasMore({ nextCursor }: JsonObject): boolean {
  return typeof nextCursor === 'string'
}

function isGone(error: unknown): boolean {
  return (error as { lost?: unknown }).lost === true
}

function distinct(reader: ListReader, kind: ListKind, items: readonly unknown[]): readonly JsonObject[] {
  const { method, id } = LISTS[kind]
  const seen = new Set<string>()
  return items.filter((item): item is JsonObject => {
    const name = isObject(item) ? item[id] : undefined
    if (typeof name !== 'string' || name === '') {
      reader.warn(`${method}: an entry without "${id}" is left out`)
      return false
    }
    if (seen.has(name)) reader.warn(`${method}: "${name}" is listed twice, the first one counts`)
    return !seen.has(name) && Boolean(seen.add(name))
  })
}

/** A call of the proxy's own. It declares what a client may be asked: servers list by that, and nothing is asked for a list. */
export function ownCall(method: Method, params: JsonObject, signal: AbortSignal): Call {
  return {
    method,
    params,
    signal,
    principal: LOCAL_USER,
    party: '',
    client: { capabilities: SHARED_CAPABILITIES },
    progress: false,
    requestId: 'catalogue',
    notify: () => {},
    ask: async (ask) => {
      throw new RpcError(ErrorCode.MethodNotFound, `${ask.method}: no client to ask`)
    },
  }
}
