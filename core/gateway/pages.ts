import type { Permissions, Principal } from '../auth.ts'
import { RpcError } from '../errors.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { JsonObject } from '../wire/jsonrpc.ts'
import { prepare } from '../wire/serialise.ts'
import { keepFor, mergeCaching, UNKEPT } from './caching.ts'
import type { Catalogue } from './catalogue.ts'
import { visibleItems } from './permissions.ts'
import type { Caching, ListKind } from './source.ts'

/** Items on one page of a list: all but the largest catalogues fit on one, for clients that do not page. */
export const PAGE_SIZE = 1000

const RESULT_KEY: Readonly<Record<ListKind, string>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resourceTemplates',
}

const EVERYTHING: object = {}

/** List answers made once per catalogue and permissions: asking again costs a look-up. */
export class Pages {
  readonly #catalogue: Catalogue
  readonly #whole: boolean
  readonly #ready = new WeakMap<object, Partial<Record<ListKind, readonly JsonObject[]>>>()

  /** `whole`: false while servers are missing that may soon be there; what is a part only should not be kept. */
  constructor(catalogue: Catalogue, whole = true) {
    this.#catalogue = catalogue
    this.#whole = whole
  }

  /** One page; `cursor` as given out by the page before. Throws `RpcError` InvalidParams on any other. */
  page(kind: ListKind, principal: Principal, cursor: unknown): JsonObject {
    const pages = this.#pages(kind, principal)
    const page = pages[pageNumber(cursor)]
    if (page === undefined) throw new RpcError(ErrorCode.InvalidParams, 'Invalid cursor')
    return page
  }

  #pages(kind: ListKind, principal: Principal): readonly JsonObject[] {
    const key: Permissions | object = principal.permissions ?? EVERYTHING
    let lists = this.#ready.get(key)
    if (lists === undefined) this.#ready.set(key, (lists = {}))
    return (lists[kind] ??= this.#make(kind, principal))
  }

  #make(kind: ListKind, principal: Principal): readonly JsonObject[] {
    const items = visibleItems(this.#catalogue.items, kind, principal)
    const caching = this.#whole ? mergeCaching(kind, new Set(items.map(({ source }) => source))) : UNKEPT
    const own: Caching = principal.permissions === undefined ? caching : { ...caching, cacheScope: 'private' }
    const pages = cut(
      kind,
      items.map(({ item }) => item),
    )
    for (const page of pages) keepFor(page, own)
    return pages
  }
}

function cut(kind: ListKind, items: readonly JsonObject[]): readonly JsonObject[] {
  const count = Math.max(1, Math.ceil(items.length / PAGE_SIZE))
  return Array.from({ length: count }, (_, index) => {
    const part = items.slice(index * PAGE_SIZE, (index + 1) * PAGE_SIZE)
    const next = index + 1 < count ? { nextCursor: `page-${index + 1}` } : undefined
    return prepare({ [RESULT_KEY[kind]]: part, ...next })
  })
}

function pageNumber(cursor: unknown): number {
  if (cursor === undefined) return 0
  const match = typeof cursor === 'string' ? /^page-([1-9]\d{0,6})$/.exec(cursor) : null
  return match === null ? -1 : Number(match[1])
}
