import { isRpcError, RpcError } from '../errors.ts'
import { ErrorCode } from '../wire/codes.ts'
import type { Peer } from './call.ts'
import type { Source } from './source.ts'

/** What each server is to watch. */
export type Wish = ReadonlyMap<Source, ReadonlySet<string>>

interface Told {
  readonly uris: ReadonlySet<string>
  /** Why the server cannot, once it has said so. */
  readonly answer: Promise<RpcError | undefined>
  failed: boolean
}

const NOTHING: ReadonlySet<string> = new Set()

/** What servers have been told to watch for one party. */
export class Watches {
  readonly #told = new Map<Source, Told>()

  /** Tells every server whose part of the wish is another than before; one that failed is told again. */
  tell(peer: Peer, wish: Wish): void {
    for (const source of this.#told.keys()) if (!wish.has(source)) this.#tellOne(source, peer, NOTHING)
    for (const [source, uris] of wish) this.#tellOne(source, peer, uris)
  }

  /** Resolves once a server knows what it was last told; with the reason if it cannot. Never rejects. */
  async failureOf(source: Source): Promise<RpcError | undefined> {
    return this.#told.get(source)?.answer
  }

  #tellOne(source: Source, peer: Peer, uris: ReadonlySet<string>): void {
    const before = this.#told.get(source)
    if (before !== undefined && !before.failed && sameUris(before.uris, uris)) return
    const answer = ask(source, peer, uris)
    const told: Told = { uris, answer, failed: false }
    if (uris.size === 0) this.#told.delete(source)
    else this.#told.set(source, told)
    void answer.then((failure) => void (told.failed = failure !== undefined))
  }
}

async function ask(source: Source, peer: Peer, uris: ReadonlySet<string>): Promise<RpcError | undefined> {
  try {
    await source.watch(peer, uris)
    return undefined
  } catch (error) {
    if (isRpcError(error)) return new RpcError(error.code, error.message, error.data)
    return new RpcError(ErrorCode.InternalError, `server "${source.name}" could not be subscribed to`)
  }
}

function sameUris(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  if (one.size !== other.size) return false
  for (const uri of one) if (!other.has(uri)) return false
  return true
}
