import type { Store } from '../../core/index.ts'
import { isDocumentId } from './cimd/client-id.ts'
import type { Documents, Occasion } from './cimd/documents.ts'
import type { Clock } from './clock.ts'
import { digest, newId, newSecret } from './secret.ts'
import type { StaticClient } from './settings.ts'

/** How clients prove who they are at the token endpoint (RFC 7591 §2). */
type ClientAuthMethod = 'none' | 'client_secret_post' | 'client_secret_basic'

/** An OAuth client. */
export interface Client {
  readonly id: string
  /** What it calls itself; nobody has checked it. */
  readonly name?: string
  readonly redirectUris: readonly string[]
  readonly authMethod: ClientAuthMethod
  /** `digest` of its secret. */
  readonly secretDigest?: string
  /** Where it is known from: it registered itself, the configuration, a metadata document at its id. */
  readonly source: 'dcr' | 'static' | 'cimd'
  /** Milliseconds since the epoch. */
  readonly created: number
  /** When it last got a token; absent: never. */
  readonly used?: number
}

type Stored = { -readonly [K in keyof Client]: Client[K] }

/** What a registration asks for, checked. */
export interface Registration {
  readonly name?: string
  readonly redirectUris: readonly string[]
  readonly authMethod: ClientAuthMethod
}

const DAY = 86_400_000
/** A client that never got a token is forgotten after so long (ms). */
const UNUSED_LIFE = DAY
/** One that did, so long after the last. */
const USED_LIFE = 90 * DAY
/** Clients without a token that are kept at most; beyond, the oldest of them goes. Those in use never do. */
const MOST_UNUSED = 5000

/** Every client: those of the configuration, and those that registered themselves. */
export interface Clients {
  /** `occasion` and `onfetch` matter where the id is the URL of a document, see `Documents`. */
  find(id: string, occasion?: Occasion, onfetch?: () => void): Promise<Client | undefined>
  /** Keeps a new client; resolves it with its secret, where its method needs one. */
  register(registration: Registration): Promise<{ readonly client: Client; readonly secret?: string }>
  /** It got a token: it is kept for longer now. Never rejects: where that cannot be written it is only forgotten sooner. */
  touch(client: Client): Promise<void>
}

export interface ClientsOptions {
  readonly store: Store
  readonly fixed: readonly StaticClient[]
  /** Absent: no id is the URL of a document. */
  readonly documents?: Documents | undefined
  readonly now: Clock
}

export function createClients({ store, fixed, documents, now }: ClientsOptions): Clients {
  const known = new Map(fixed.map((client) => [client.id, fixedClient(client)]))
  /** Ids of clients that never got a token, oldest first; read once, when the first one registers. */
  let unused: Promise<Set<string>> | undefined

  async function readUnused(): Promise<Set<string>> {
    const found: Client[] = []
    for await (const [, client] of store.scan<Stored & {}>('client')) if (client.used === undefined) found.push(client)
    return new Set(found.sort((a, b) => a.created - b.created).map(({ id }) => id))
  }

  async function makeRoom(): Promise<void> {
    const ids = await (unused ??= readUnused().catch((error: unknown) => {
      unused = undefined
      throw error
    }))
    for (const id of ids) {
      if (ids.size < MOST_UNUSED) return
      ids.delete(id)
      // It may have got its first token in another process.
      await store.update<Stored>(keyOf(id), (client) => (client?.used === undefined ? undefined : client))
    }
  }

  return {
    async find(id, occasion = 'token', onfetch) {
      const fixed = known.get(id)
      if (fixed !== undefined) return fixed
      return isDocumentId(id) ? documents?.find(id, occasion, onfetch) : store.get<Stored>(keyOf(id))
    },

    async register({ name, redirectUris, authMethod }) {
      await makeRoom()
      const id = `mcp_${newId()}`
      const secret = authMethod === 'none' ? undefined : newSecret()
      const client: Stored = {
        id,
        ...(name !== undefined && { name }),
        redirectUris,
        authMethod,
        ...(secret !== undefined && { secretDigest: digest(secret) }),
        source: 'dcr',
        created: now(),
      }
      await store.put(keyOf(id), client, { ttl: UNUSED_LIFE })
      ;(await unused)?.add(id)
      return { client, ...(secret !== undefined && { secret }) }
    },

    async touch({ id, source, used }) {
      if (source === 'cimd') return documents?.use(id).catch(() => undefined)
      // Once a day is enough: a client in use is refreshed all the time.
      if (source !== 'dcr' || (used !== undefined && now() - used < DAY)) return
      const mark = (client: Stored | undefined) => client && { ...client, used: now() }
      await store.update<Stored>(keyOf(id), mark, { ttl: USED_LIFE }).catch(() => undefined)
      ;(await unused?.catch(() => undefined))?.delete(id)
    },
  }
}

function keyOf(id: string): string {
  return `client:${id}`
}

function fixedClient({ id, secret, name, redirectUris }: StaticClient): Client {
  return {
    id,
    ...(name !== undefined && { name }),
    redirectUris,
    authMethod: secret === undefined ? 'none' : 'client_secret_post',
    ...(secret !== undefined && { secretDigest: digest(secret) }),
    source: 'static',
    created: 0,
  }
}
